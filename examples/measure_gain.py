"""Does it help, how much is right, is it true to the data, and what does it give away? One page with the answers."""

from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from synthaug import (
    Synthesizer,
    SynthResampler,
    amount_curve,
    compare,
    default_arms,
    default_estimators,
    fidelity,
    privacy_risk,
)

X, y = load_breast_cancer(as_frame=True, return_X_y=True)
X, _, y, _ = train_test_split(X, y, train_size=120, stratify=y, random_state=0)
classifiers = {name: default_estimators()[name] for name in ("logistic", "neighbours")}


def ours(amount):
    """A small generator, to be quick; leave `max_steps` out to have it chosen from the data."""
    return SynthResampler(Synthesizer(max_steps=100), amount=amount, random_state=0)


found = compare({**default_arms(amount=1.0), "ours": ours(1.0)}, classifiers, X, y, cv=4, random_state=0)
amounts = amount_curve(ours, classifiers, X, y, amounts=(0, 0.5, 2), cv=3, random_state=0)

# Whether rows are true and keep secrets is asked of a generator that has seen one half, beside the other half.
seen, unseen, labels, held = train_test_split(X, y, train_size=0.5, stratify=y, random_state=0)
pool = Synthesizer(max_steps=100, random_state=0).fit(seen, labels).sample(len(seen))
made = pool.to_dataframe("benign")
risk = privacy_risk(seen, made.drop(columns="benign"), unseen, random_state=0)
truth = fidelity(seen.assign(benign=labels), made, target="benign", holdout=unseen.assign(benign=held), random_state=0)

shown = made.head(4).assign(synthetic=True)
found.to_html("gain.html", fidelity=truth, privacy=risk, amounts=amounts, examples={"ours": shown}, title="Tumours")
print(found.verdict())
print("The page is gain.html.")
