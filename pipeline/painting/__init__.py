"""What the painters without a GPU share: the look a session asks for, its glide, and the way of one frame."""
