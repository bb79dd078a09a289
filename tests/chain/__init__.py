"""A local EVM chain with the real Aave V3 contracts: ground truth for everything that reads a chain.

Needs `npm ci --ignore-scripts` in the repository root; without it the fixtures skip and say so.
Nothing here imports cryptolake: what the contracts say must not pass through the code that is being judged.
"""
