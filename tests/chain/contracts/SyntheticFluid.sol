// SPDX-License-Identifier: MIT
pragma solidity ^0.8.0;

// Written for tests from Fluid's documented storage layout and interfaces; not Fluid's code, which no package publishes.

/// A contract whose storage anybody may write and read by slot, and which holds tokens and the native coin.
contract SyntheticLiquidity {
    function readFromStorage(bytes32 slot) external view returns (uint256 value) {
        assembly {
            value := sload(slot)
        }
    }

    function write(bytes32 slot, uint256 value) external {
        assembly {
            sstore(slot, value)
        }
    }

    receive() external payable {}
}

/// Tells what a token's packed words mean at the current block: the documented arithmetic, written a second time.
contract SyntheticLens {
    uint256 constant YEAR = 365 days;

    function raw(uint256 packed, uint256 side) public pure returns (uint256) {
        uint256 number = uint64(packed >> (64 * side));
        return (number / 256) * 2 ** (number % 256);
    }

    /// Both exchange prices (1e12 = 1) with interest to the current block.
    function prices(uint256 packed) public view returns (uint256 supply, uint256 borrow) {
        supply = uint64(packed >> 91);
        borrow = uint64(packed >> 155);
        uint256 rate = uint16(packed);
        uint256 time = block.timestamp - ((packed >> 58) % 2 ** 33);
        uint256 supplyRatio = (packed >> 219) % 2 ** 15;
        uint256 borrowRatio = (packed >> 234) % 2 ** 15;
        if (rate == 0 || time == 0 || borrowRatio == 1) return (supply, borrow);
        uint256 grown = borrow + (borrow * rate * time) / (YEAR * 10000);
        if (supplyRatio == 1) return (supply, grown);
        uint256 yield = supplyYield((packed >> 30) % 2 ** 14, supplyRatio, borrowRatio);
        uint256 kept = 10000 - ((packed >> 16) % 2 ** 14);
        return (supply + (supply * rate * yield * kept * time) / (YEAR * 1e12), grown);
    }

    function supplyYield(uint256 utilisation, uint256 supplyRatio, uint256 borrowRatio) public pure returns (uint256) {
        uint256 lent = supplyRatio % 2 == 1
            ? (utilisation * (1e27 + 1e31 / (supplyRatio / 2))) / 10000
            : (1e27 * utilisation * (10000 + supplyRatio / 2)) / 1e8;
        uint256 part = ((borrowRatio / 2) * 1e27) / (10000 + borrowRatio / 2);
        if (borrowRatio % 2 == 0) part = 1e27 - part;
        return (10000 * lent * part) / 1e54;
    }

    function totals(SyntheticLiquidity liquidity, address token) external view returns (uint256 supplied, uint256 borrowed) {
        uint256 amounts = liquidity.readFromStorage(keccak256(abi.encode(token, 7)));
        (uint256 supply, uint256 borrow) = prices(liquidity.readFromStorage(keccak256(abi.encode(token, 5))));
        supplied = raw(amounts, 1) + (raw(amounts, 0) * supply) / 1e12;
        borrowed = raw(amounts, 3) + (raw(amounts, 2) * borrow) / 1e12;
    }

    /// What an amount of a pool's supply (slot 8) or borrow (slot 9) shares holds of one token.
    function part(SyntheticLiquidity liquidity, SyntheticLiquidity pool, address token, uint256 users, uint256 amount)
        external
        view
        returns (uint256)
    {
        bytes32 inner = keccak256(abi.encode(address(pool), users));
        uint256 user = liquidity.readFromStorage(keccak256(abi.encode(token, inner)));
        (uint256 supply, uint256 borrow) = prices(liquidity.readFromStorage(keccak256(abi.encode(token, 5))));
        uint256 number = uint64(user / 2);
        uint256 all = (number / 256) * 2 ** (number % 256);
        if (user % 2 == 1) all = (all * (users == 8 ? supply : borrow)) / 1e12;
        return (all * amount) / uint128(pool.readFromStorage(bytes32(users == 8 ? uint256(2) : 4)));
    }
}

/// A vault that answers the constants it was given and says that it was liquidated.
contract SyntheticVault {
    bytes constants;

    event LogLiquidate(address liquidator_, uint256 colAmt_, uint256 debtAmt_, address to_);
    event LogAbsorb(uint256 colAbsorbedRaw_, uint256 debtAbsorbedRaw_);

    constructor(bytes memory constants_) {
        constants = constants_;
    }

    function constantsView() external view {
        bytes memory answer = constants;
        assembly {
            return(add(answer, 32), mload(answer))
        }
    }

    function liquidate(uint256 collateral, uint256 debt, address to) external {
        emit LogAbsorb(collateral, debt);
        emit LogLiquidate(msg.sender, collateral, debt, to);
    }
}

/// The factory's two getters; ids count from 1.
contract SyntheticVaultFactory {
    address[] vaults;

    function add(address vault) external {
        vaults.push(vault);
    }

    function totalVaults() external view returns (uint256) {
        return vaults.length;
    }

    function getVaultAddress(uint256 id) external view returns (address) {
        return vaults[id - 1];
    }
}

/// Zircuit's staking pool and a token at once: both tell a constant, so that the code can be put at a known address.
contract SyntheticStake {
    uint256 immutable held;

    constructor(uint256 held_) {
        held = held_;
    }

    function balance(address, address) external view returns (uint256) {
        return held;
    }

    function balanceOf(address) external view returns (uint256) {
        return held;
    }

    function symbol() external pure returns (string memory) {
        return "weETH";
    }

    function decimals() external pure returns (uint8) {
        return 18;
    }
}
