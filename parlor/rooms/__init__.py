"""A room and its owner: mailbox, claim, turns, replies, the pool of actors and which room is on which."""
