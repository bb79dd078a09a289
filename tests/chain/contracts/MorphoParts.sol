// SPDX-License-Identifier: MIT
pragma solidity ^0.8.0;

import {Id, IMorpho, Market, MarketParams} from "@morpho-org/morpho-blue/src/interfaces/IMorpho.sol";

/// Lets the real contract accrue its own interest inside a call, which changes nothing, and tells what it then holds.
contract Accrued {
    function market(IMorpho morpho, Id id) external returns (Market memory) {
        MarketParams memory params = morpho.idToMarketParams(id);
        morpho.accrueInterest(params);
        return morpho.market(id);
    }
}

/// Synthetic: an oracle that speaks Morpho's price() and also Lista's peek(token) in USD with 8 decimals.
contract PeekOracle {
    uint256 public price;
    mapping(address => uint256) public peek;

    function setPrice(uint256 newPrice) external {
        price = newPrice;
    }

    function setPeek(address token, uint256 newPrice) external {
        peek[token] = newPrice;
    }
}

/// Synthetic: stands in Morpho's place, has a role's members as Moolah has, and leaves all else to Morpho's code.
contract Roled {
    address private constant MORPHO_CODE = address(0xC0DE);

    fallback() external {
        if (msg.sig == bytes4(keccak256("getRoleMemberCount(bytes32)"))) {
            assembly {
                mstore(0, 1)
                return(0, 32)
            }
        }
        (bool good, bytes memory answer) = MORPHO_CODE.delegatecall(msg.data);
        assembly {
            switch good
            case 0 { revert(add(answer, 32), mload(answer)) }
            default { return(add(answer, 32), mload(answer)) }
        }
    }
}
