// SPDX-License-Identifier: MIT
// Stands in for 1inch's SafeERC20, whose package brings half a toolchain: the functions Gearbox uses, plainly.
pragma solidity ^0.8.17;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

library SafeERC20 {
    error SafeTransferFailed();

    function safeBalanceOf(IERC20 token, address account) internal view returns (uint256) {
        return token.balanceOf(account);
    }

    function safeTransfer(IERC20 token, address to, uint256 value) internal {
        if (!token.transfer(to, value)) revert SafeTransferFailed();
    }

    function safeTransferFrom(IERC20 token, address from, address to, uint256 amount) internal {
        if (!token.transferFrom(from, to, amount)) revert SafeTransferFailed();
    }

    function forceApprove(IERC20 token, address spender, uint256 value) internal {
        token.approve(spender, value);
    }
}
