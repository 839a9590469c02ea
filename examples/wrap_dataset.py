"""A plain PyTorch loop with a rare class: new images on top of each batch, weighted in the loss."""

import torch
from sklearn.datasets import load_digits
from sklearn.metrics import balanced_accuracy_score
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset

from synthaug import Annealed, Synthesizer, mix_loader


class Digits(Dataset):
    """Anybody's dataset: an image and a label an item."""

    def __init__(self, images, labels):
        self.images = torch.from_numpy(images / 16).float()[:, None]
        self.labels = labels.tolist()

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return self.images[index], self.labels[index]


images, labels = load_digits(return_X_y=True)
images = images.reshape(-1, 8, 8)
rare = (labels[:600] == 8).cumsum() * (labels[:600] == 8) > 5  # all but five eights are taken out
train = Digits(images[:600][~rare], labels[:600][~rare])
test = Digits(images[600:], labels[600:])

EPOCHS = 15
loader = DataLoader(train, batch_size=32, shuffle=True, generator=torch.Generator().manual_seed(0))
pool = Synthesizer(max_steps=300, random_state=0).fit(train).sample(600)
loader = mix_loader(loader, pool, ratio=Annealed(0.5, EPOCHS), allocation="balance", flag=True, seed=0)

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
optimizer = torch.optim.Adam(model.parameters(), 3e-3)
for _ in range(EPOCHS):
    for image, label, synthetic in loader:
        weight = torch.where(synthetic, 0.5, 1.0)
        loss = (weight * cross_entropy(model(image), label, reduction="none")).sum() / weight.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

predicted = model(test.images).argmax(1)
print(f"balanced accuracy {balanced_accuracy_score(test.labels, predicted):.3f}")
print(f"of the rare class {(predicted == 8)[torch.tensor(test.labels) == 8].float().mean():.3f}")
