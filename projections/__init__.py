"""Read models: what the books say, in shapes that can be asked. All of it can be dropped and rebuilt."""
