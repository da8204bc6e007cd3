"""What a network's forward computes, read from its execution: the operations, and who feeds whom."""
