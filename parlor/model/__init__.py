"""The data that Parlor works with, and its JSON: ids, states, rooms, messages, requests and their receipts.

All are frozen msgspec structs, which cross actor calls as MessagePack and reach clients as JSON. Times are unix
milliseconds; ``wire`` writes them as RFC 3339.
"""
