"""The paper's experiment: its networks, its protocol, the training loop, `minidrop reproduce` and the ledger of claims."""
