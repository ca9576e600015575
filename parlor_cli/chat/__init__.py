"""`parlor chat`: a conversation in the terminal."""
