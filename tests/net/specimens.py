"""How endpoints word their refusals: one line each, as quoted in public documents, code and issues. The next one is a line.

Fields in braces are filled in by the server that refuses: `{limit}`, `{asked}` (how much was asked for), `{start}` and
`{until}` (a range that would do, hex), `{first}` and `{last}` (the same, decimal).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Specimen:
    """A refusal: what of the question is limited, its JSON-RPC code, its words, and whether they tell the limit."""

    of: str
    code: int
    words: str

    @property
    def tells(self) -> bool:
        return any(field in self.words for field in ("{limit}", "{until}", "{last}"))

    @property
    def takes_some(self) -> bool:
        """Whether the words leave it open that a smaller batch is taken."""
        return self.of != "batch" or ("disabled" not in self.words and "not supported" not in self.words)

    def __str__(self) -> str:
        return f"{self.of}: {self.words[:60] or '(no words)'} ({self.code})"


SPECIMENS = [
    Specimen(of, code, words)
    for of, code, words in [
        # Blocks of one eth_getLogs
        ("blocks", 35, "ranges over {limit} blocks are not supported on freetier"),
        ("blocks", -32005, "limit exceeded"),
        ("blocks", -32005, "Requested range exceeds maximum RPC range limit"),
        ("blocks", -32602, "Please limit the query to at most {limit} blocks"),
        ("blocks", -32000, "exceeds the range allowed for your plan ({asked} > {limit})"),
        ("blocks", -32000, "eth_getLogs exceeds max allowed range of {limit} blocks"),
        ("blocks", -32000, "eth_getLogs is limited to a {limit} range"),
        ("blocks", -32614, "eth_getLogs is limited to a {limit} range"),
        ("blocks", -32000, "eth_getLogs is limited to 0 - {limit} blocks range"),
        ("blocks", -32000, "eth_getLogs and eth_newFilter are limited to a {limit} blocks range"),
        ("blocks", -32000, "exceed maximum block range: {limit}"),
        ("blocks", -32602, "exceed max block range: {limit}"),
        ("blocks", -32602, "query exceeds max block range {limit}"),
        ("blocks", -32000, "requested too many blocks from {first} to {last}, maximum is set to {limit}"),
        ("blocks", -32000, "Maximum allowed number of requested blocks is {limit}"),
        ("blocks", -32602, "range {asked} exceeds limit of {limit}"),
        ("blocks", -32602, "invalid params: range {asked} is bigger than range limit {limit}"),
        ("blocks", -32047, "Invalid eth_getLogs request. 'fromBlock'-'toBlock' range too large. Max range: {limit}"),
        ("blocks", -32602, "eth_getLogs range is too large, max is {limit} blocks"),
        (
            "blocks",
            -32000,
            "block range is larger than max block range, block range = {asked}, max block range = {limit}",
        ),
        ("blocks", -32005, "block range too large, max range: {limit}"),
        ("blocks", -32602, "query block range exceeds server limit, narrow your filter: {limit}"),
        ("blocks", -32600, "block range is too wide"),
        ("blocks", -32000, "block range is too wide (maximum {limit})"),
        ("blocks", -32600, "block range too high"),
        ("blocks", -32000, "block range is bigger than maxBlockRange"),
        ("blocks", -32000, "Block range limit exceeded."),
        ("blocks", -32001, "Block range too large: maximum allowed is {limit} blocks"),
        ("blocks", -32012, "Range too large; max block range {limit}"),
        ("blocks", -32000, "block range greater than {limit} max"),
        ("blocks", -32000, "can't query more than {limit} blocks"),
        ("blocks", -32600, "You can make eth_getLogs requests with up to a {limit} block range."),
        (
            "blocks",
            -32600,
            "Under the Free tier plan, you can make eth_getLogs requests with up to a {limit} block range. Based on your "
            "parameters, this block range should work: [{start}, {until}]",
        ),
        ("blocks", -32000, "This range of parameters is not supported"),
        ("blocks", -32602, "invalid params"),
        ("blocks", -32600, "Invalid Request"),
        ("blocks", -32603, "Internal error"),
        ("blocks", -32000, "something nobody has ever read"),
        ("blocks", 0, ""),
        # Time: what takes too long is too much
        ("blocks", -32005, "query timeout exceeded"),
        ("blocks", -32000, "request timed out"),
        ("blocks", 30, "Request timeout on the free tier, please upgrade your tier to the paid one"),
        ("blocks", -32002, "execution aborted (timeout = 5s)"),
        ("blocks", -32000, "context deadline exceeded"),
        # Results and bytes of one answer
        ("results", -32005, "query returned more than {limit} results"),
        ("results", -32005, "query returned more than {limit} results. Try with this block range [{start}, {until}]."),
        ("results", -32602, "query exceeds max results {limit}"),
        ("results", -32602, "query exceeds max results {limit}, retry with the range {first}-{last}"),
        ("results", -32000, "logs matched by query exceeds limit of {limit}"),
        ("results", -32000, "too many results"),
        ("results", -32008, "Response is too big"),
        ("results", -32003, "response too large"),
        ("results", -32000, "query must be smaller than size 10485760"),
        (
            "results",
            -32602,
            "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range and no limit on the "
            "response size, or you can request any block range with a cap of 10K logs in the response. Based on your "
            "parameters and the response size limit, this block range should work: [{start}, {until}]",
        ),
        # Addresses and topics of one filter
        ("addresses", -32602, "exceed max addresses or topics per search position"),
        ("addresses", -32602, "exceed max addresses: {limit}"),
        ("addresses", -32602, "query exceeds limit: too many addresses"),
        ("addresses", -32701, "Please, specify less number of addresses."),
        ("addresses", -32602, "{asked} address and topic selectors specified in query, but only {limit} are allowed"),
        ("addresses", -32602, "This query contains {asked} filters. The current limit is {limit}."),
        ("topics", -32602, "exceed max topics: {limit}"),
        ("topics", -32602, "exceed max topics"),
        # Calls of one batch
        ("batch", 31, "Batch of more than {limit} requests are not allowed on free tier, to use this feature register"),
        ("batch", -32202, "Batch requests are disabled"),
        ("batch", -32000, "exceeded maximum of {limit} calls in batch"),
        ("batch", -32600, "batch too large"),
        ("batch", -32600, "Number of requests in batch exceeds --rpc-max-batch-size."),
        ("batch", -32010, "The batch request was too large: Exceeded max limit of {limit}"),
        ("batch", -32005, "Batched requests are not supported by this server"),
        ("batch", -32600, "batch limit 10 exceeded (can increase by --rpc.batch.limit)"),
        ("batch", -32600, "Invalid Request"),
        ("batch", -32603, "Internal error"),
    ]
]
