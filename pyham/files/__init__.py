"""Files: arrays and a plain-data header in one file (``archive``). What the header means is said by those who write it.

May import nothing of pyham.
"""
