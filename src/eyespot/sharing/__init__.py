"""A network for others: its model card, and a repository of the Hugging Face hub."""
