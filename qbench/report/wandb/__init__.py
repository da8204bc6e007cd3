"""wandb's side of a report: the comparison as a run, and a report and a workspace in a project."""
