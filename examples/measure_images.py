"""Do more images help your network? Half of the digits are rare; each arm is trained anew on the same splits."""

import torch
from sklearn.datasets import load_digits
from sklearn.metrics import balanced_accuracy_score
from torch.utils.data import DataLoader, Subset

from synthaug import ConditionalWarp, Synthesizer, balanced_sampler, choose_training, compare_training, mix_loader

digits = load_digits()
taken = [i for i, label in enumerate(digits.target[:800]) if label < 5 or i < 120]  # 5 to 9 are rare
data = [((digits.images[i] * 15).astype("uint8"), int(digits.target[i])) for i in taken]  # any map-style Dataset
labels = [label for _, label in data]
STEPS = 80  # and on to the end of the epoch, which is as long in every arm


def loader_of(items, seed):
    """Your loader; real items alone are trained on with it."""
    sampler = balanced_sampler([items[i][1] for i in range(len(items))], random_state=seed)
    return DataLoader(items, batch_size=32, sampler=sampler)


def warps(dataset, indices, seed):
    """An arm: what is trained on, out of the training items of a split. Here a loader."""
    training = Subset(dataset, indices)
    pool = Synthesizer(generator=ConditionalWarp, random_state=seed).fit(training).sample(300)
    return mix_loader(loader_of(training, seed), pool, ratio=1.0, seed=seed)


def train(given, seed):
    """Your training: given what an arm made, or the training items as they are."""
    loader = given if isinstance(given, DataLoader) else loader_of(given, seed)
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    step = 0
    while step < STEPS:
        for image, label in loader:
            loss = torch.nn.functional.cross_entropy(model(image / 255), label)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
    return model


def score(model, items):
    """Greater is better."""
    image, label = next(iter(DataLoader(items, batch_size=len(items))))
    return {"balanced_accuracy": balanced_accuracy_score(label, model(image / 255).argmax(1))}


print(compare_training({"warps": warps}, train, score, data, splits=2, labels=labels, random_state=0))

# That asks for proof. To take what is likely to gain, or nothing, start from what you saw elsewhere (0.01 is a point).
decision = choose_training(
    {"warps": warps}, train, score, data, splits=3, labels=labels, expected={"warps": 0.01}, random_state=0
)
print(decision)
