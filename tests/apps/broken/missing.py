"""Has no ``application``, and one thing that cannot be called."""

number = 42
