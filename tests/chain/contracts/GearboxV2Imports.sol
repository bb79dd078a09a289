// SPDX-License-Identifier: MIT
// Stands in for the files that Gearbox v2 imports from packages about Chainlink and adapters: interfaces and names only.
pragma solidity ^0.8.10;

interface AggregatorV3Interface {
    function decimals() external view returns (uint8);
    function description() external view returns (string memory);
    function version() external view returns (uint256);
    function getRoundData(uint80 round) external view returns (uint80, int256, uint256, uint256, uint80);
    function latestRoundData()
        external
        view
        returns (uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound);
}

enum PriceFeedType {
    CHAINLINK_ORACLE
}

enum AdapterType {
    ABSTRACT
}
