"""What was spent, by hour or day and any dimension, and between which two periods it is compared."""
