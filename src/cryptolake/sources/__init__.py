"""One file per vendor plus `onchain/`: what to ask and how to read the answer. No storage, no SQL."""
