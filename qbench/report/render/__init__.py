"""A view, or a whole report, as text: one form a file. The page, charts and wandb have folders beside it."""
