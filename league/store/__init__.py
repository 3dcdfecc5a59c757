"""What lasts: the database, the blobs, the lock, the commit and its proofs.

Nothing here imports torch.
"""
