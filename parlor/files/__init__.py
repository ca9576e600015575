"""Files of accounts: their bytes in a file store, what is known of them in the shards."""
