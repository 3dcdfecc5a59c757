"""What an agent is made of: the frozen base model and the bank of LoRA adapters over it."""
