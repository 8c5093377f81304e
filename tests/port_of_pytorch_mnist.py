"""PyTorch's own first example, the script that trains a small CNN on MNIST, moved to minidrop line by line.

    python -m tests.port_of_pytorch_mnist --epochs 1

After pytorch/examples, mnist/main.py (BSD 3-clause), in our words. Where a line had to change, what it says in PyTorch stands
behind it; all others are written as there. `tests/test_coming_from_pytorch.py` runs it on a few made-up images.
"""

import argparse

import minidrop as md  # import torch
from minidrop import functional as F, nn, optim  # import torch.nn.functional as F, from torch import nn, optim
from minidrop.optim.lr_scheduler import StepLR

MEAN, DEVIATION = 0.1307, 0.3081  # of MNIST's pixels, from 0 to 1


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, 1)
        self.conv2 = nn.Conv2d(32, 64, 3, 1)
        self.dropout1 = nn.Dropout(0.25)
        self.dropout2 = nn.Dropout(0.5)
        self.fc1 = nn.Dense(9216, 128)  # nn.Linear
        self.fc2 = nn.Dense(128, 10)  # nn.Linear

    def forward(self, x):
        x = self.conv1(x)
        x = F.relu(x)
        x = self.conv2(x)
        x = F.relu(x)
        x = F.max_pool2d(x, 2)
        x = self.dropout1(x)
        x = F.flatten(x, 1)  # torch.flatten
        x = self.fc1(x)
        x = F.relu(x)
        x = self.dropout2(x)
        x = self.fc2(x)
        return F.log_softmax(x, axis=1)  # dim=1


def train(args, model, train_loader, optimizer, epoch):  # device: the loader knows it
    model.train()
    for batch_idx, (data, target) in enumerate(train_loader):
        optimizer.zero_grad()
        output = model(data)
        loss = F.nll_loss(output, target)
        loss.backward()
        optimizer.step()
        if batch_idx % args.log_interval == 0:
            print(f"Train epoch {epoch} [{batch_idx * len(data)}/{len(train_loader.labels)}]\tloss {loss.item():.6f}")
            if args.dry_run:
                break


def test(model, test_loader):
    model.eval()
    test_loss = 0
    correct = 0
    with md.no_grad():  # torch.no_grad()
        for data, target in test_loader:
            output = model(data)
            test_loss += F.nll_loss(output, target, reduction="sum").item()
            pred = output.argmax(axis=1)  # dim=1
            correct += (pred == target).sum().item()
    count = len(test_loader.labels)
    print(f"Test: average loss {test_loss / count:.4f}, accuracy {correct}/{count} ({100.0 * correct / count:.0f} %)")
    return correct / count


def main(argv=None, data=None):
    parser = argparse.ArgumentParser(description="MNIST")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--test-batch-size", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--lr", type=float, default=1e-3)  # 1.0, for Adadelta
    parser.add_argument("--gamma", type=float, default=0.7)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log-interval", type=int, default=10)
    parser.add_argument("--save-model", metavar="FILE")
    args = parser.parse_args(argv)

    md.manual_seed(args.seed)  # torch.manual_seed
    scale = {
        "mean": 255 * MEAN,
        "maximum": 255 * DEVIATION,
        "device": args.device,
    }  # transforms.Normalize((MEAN,), (DEVIATION,))
    dataset1, dataset2 = data or (md.datasets.mnist("train", download=True), md.datasets.mnist("test"))  # datasets.MNIST(...)
    train_loader = md.datasets.batches(dataset1, batch_size=args.batch_size, **scale)  # DataLoader(dataset1, ...)
    test_loader = md.datasets.batches(dataset2, batch_size=args.test_batch_size, shuffle=False, **scale)

    model = Net().to(args.device)
    optimizer = optim.AdamW(model.parameters(), lr=args.lr)  # optim.Adadelta, which minidrop does not have

    scheduler = StepLR(optimizer, step_size=1, gamma=args.gamma)
    for epoch in range(1, args.epochs + 1):
        train(args, model, train_loader, optimizer, epoch)
        accuracy = test(model, test_loader)
        scheduler.step()

    if args.save_model:
        md.save(args.save_model, model)  # torch.save(model.state_dict(), args.save_model)
    return model, optimizer, accuracy


if __name__ == "__main__":
    main()
