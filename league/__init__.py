"""League training for populations of LoRA language-model agents over one frozen base model."""

__version__ = "0.1.0"
