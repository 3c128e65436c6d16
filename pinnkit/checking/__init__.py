"""What can be known before training: mistakes, oversights, sizes of the terms, and whether the network's start is sound."""
