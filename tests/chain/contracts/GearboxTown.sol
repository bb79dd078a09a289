// SPDX-License-Identifier: MIT
// What the published Gearbox core expects around it and its npm package lacks: access control, the address provider,
// the contracts register, the market configurator with its factory, and price feeds. Interfaces as documented.
pragma solidity ^0.8.17;


/// Plays each of those roles; a test deploys one instance per role.
contract GearboxTown {
    address public immutable owner = msg.sender;
    mapping(bytes32 => address) internal _entries;
    mapping(address => bool) public isPool;
    mapping(address => bool) public isCreditManager;
    address[] internal _pools;
    address[] internal _managers;
    address[] internal _configurators;
    address public contractsRegister;

    error AddressNotFoundException();

    // access control
    function isConfigurator(address account) external view returns (bool) {
        return account == owner;
    }

    function hasRole(bytes32, address account) external view returns (bool) {
        return account == owner;
    }

    // address provider, v3.0 and v3.1
    function set(bytes32 key, address value) external {
        _entries[key] = value;
    }

    function getAddressOrRevert(bytes32 key, uint256) external view returns (address found) {
        found = _entries[key];
        if (found == address(0)) revert AddressNotFoundException();
    }

    // contracts register
    function addPool(address pool) external {
        isPool[pool] = true;
        _pools.push(pool);
    }

    function addCreditManager(address manager) external {
        isCreditManager[manager] = true;
        _managers.push(manager);
    }

    function getPools() external view returns (address[] memory) {
        return _pools;
    }

    function getCreditManagers() external view returns (address[] memory) {
        return _managers;
    }

    // market configurator and its factory
    function setContractsRegister(address register) external {
        contractsRegister = register;
    }

    function addConfigurator(address configurator) external {
        _configurators.push(configurator);
    }

    function getMarketConfigurators() external view returns (address[] memory) {
        return _configurators;
    }
}

/// A price in dollars with 8 decimals that a test sets; always fresh.
contract GearboxFeed {
    uint8 public constant decimals = 8;
    int256 public price;

    constructor(int256 first) {
        price = first;
    }

    function set(int256 next) external {
        price = next;
    }

    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80) {
        return (1, price, block.timestamp, block.timestamp, 1);
    }
}
