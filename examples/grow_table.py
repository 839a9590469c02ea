"""A DataFrame in, a longer DataFrame out, and whether that helps."""

import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier

from synthaug import SynthResampler, augment, compare

table = load_breast_cancer(as_frame=True).frame.rename(columns={"target": "benign"})
benign, malignant = table[table["benign"] == 1], table[table["benign"] == 0]
table = pd.concat([benign.iloc[:90], malignant.iloc[:30]], ignore_index=True)  # small and imbalanced

grown = augment(table, "benign", flag="synthetic", random_state=0)
print(grown.groupby("synthetic")["benign"].value_counts())

found = compare(
    {"ours": SynthResampler()},
    RandomForestClassifier(50),
    table.drop(columns="benign"),
    table["benign"],
    cv=4,
    random_state=0,
)
print(found)
