"""What the trials of a sweep say together, and how it is shown.

`study` reads a folder, `model` and `statistics` compare its groups, `views` make tables of that. What follows computes
no number: `charts`, and the renderers `render` (text), `html` (the page) and `wandb`. `commands` is apart from these:
it has what the other commands show.
"""
