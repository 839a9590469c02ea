"""A folder with one sub-folder a class: a pool beside it, and batches of both through one albumentations pipeline."""

import os

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # it would ask the network for a newer version

from pathlib import Path

import numpy as np
from albumentations import Affine, Compose, Normalize, ToTensorV2
from PIL import Image
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader

from synthaug import Pool, Synthesizer, mix_loader, read_images

# A tree of images, as you have one: train/3/17.png
digits = load_digits()
for number, (image, label) in enumerate(zip(digits.images[:150], digits.target[:150], strict=True)):
    path = Path("train", str(label), f"{number}.png")
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((image * 15).astype(np.uint8)).save(path)


class Folder:
    """Reads an image when it is asked for."""

    def __init__(self, root):
        self.paths = sorted(Path(root).glob("*/*.png"))

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        path = self.paths[index]
        return Image.open(path), int(path.parent.name)


seen = read_images("train")
print(seen)
synthesizer = Synthesizer(max_steps=200, random_state=0).fit(seen.records, seen.labels.astype(int))
synthesizer.sample(300).save("pool", overwrite=True)  # once; each training reads it
pool = Pool.load("pool")

pipeline = Compose([Affine(translate_percent=0.1, p=0.5), Normalize(0.5, 0.5), ToTensorV2()])
loader = DataLoader(Folder("train"), batch_size=32, shuffle=True, num_workers=2)
for images, labels in mix_loader(loader, pool, ratio=0.5, transform=pipeline):
    print(tuple(images.shape), images.dtype, labels.bincount(minlength=10).tolist())
