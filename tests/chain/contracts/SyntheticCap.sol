// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

interface IERC20 {
    function balanceOf(address owner) external view returns (uint256);
    function transfer(address to, uint256 amount) external returns (bool);
    function transferFrom(address from, address to, uint256 amount) external returns (bool);
    function decimals() external view returns (uint8);
}

interface INetwork {
    function slashableCollateral(address agent) external view returns (uint256);
    function slash(address agent, address recipient, uint256 share) external;
}

// A market with the documented interface of Cap, written for tests. Not Cap's code; its rates are simpler.

contract SyntheticCapOracle {
    mapping(address => uint256) private prices;

    function set(address asset, uint256 price) external {
        prices[asset] = price;
    }

    function getPrice(address asset) external view returns (uint256 price, uint256 lastUpdated) {
        price = prices[asset];
        require(price > 0, "PriceError");
        lastUpdated = block.timestamp;
    }
}

contract SyntheticCapVault {
    address[] private listed;
    address private lender;
    mapping(address => uint256) public totalSupplies;
    mapping(address => uint256) public totalBorrows;
    mapping(address => uint256) public balanceOf;

    function setLender(address lender_) external {
        lender = lender_;
    }

    function addAsset(address asset) external {
        listed.push(asset);
    }

    function removeAsset(address asset) external {
        require(totalSupplies[asset] == 0, "AssetHasSupplies");
        for (uint256 i = 0; i < listed.length; i++) {
            if (listed[i] == asset) {
                listed[i] = listed[listed.length - 1];
                listed.pop();
                return;
            }
        }
        revert("AssetNotSupported");
    }

    function assets() external view returns (address[] memory) {
        return listed;
    }

    function availableBalance(address asset) public view returns (uint256) {
        return totalSupplies[asset] - totalBorrows[asset];
    }

    function mint(address asset, uint256 amount, uint256, address receiver, uint256) external returns (uint256) {
        totalSupplies[asset] += amount;
        balanceOf[receiver] += amount;
        require(IERC20(asset).transferFrom(msg.sender, address(this), amount), "transfer");
        return amount;
    }

    function burn(address asset, uint256 amount, uint256, address receiver, uint256) external returns (uint256) {
        require(availableBalance(asset) >= amount, "InsufficientReserves");
        balanceOf[msg.sender] -= amount;
        totalSupplies[asset] -= amount;
        require(IERC20(asset).transfer(receiver, amount), "transfer");
        return amount;
    }

    /// Moves idle tokens out of the vault, as the fractional reserve does: the books do not change.
    function invest(address asset, address to, uint256 amount) external {
        require(IERC20(asset).transfer(to, amount), "transfer");
    }

    function borrow(address asset, uint256 amount, address receiver) external {
        require(msg.sender == lender, "AccessDenied");
        require(availableBalance(asset) >= amount, "InsufficientReserves");
        totalBorrows[asset] += amount;
        require(IERC20(asset).transfer(receiver, amount), "transfer");
    }

    function repay(address asset, uint256 amount) external {
        require(msg.sender == lender, "AccessDenied");
        totalBorrows[asset] -= amount;
        require(IERC20(asset).transferFrom(msg.sender, address(this), amount), "transfer");
    }
}

contract SyntheticCapDebt {
    uint256 private constant RAY = 1e27;
    uint256 private immutable rate;
    uint256 private index = RAY;
    uint256 private updated = block.timestamp;
    mapping(address => uint256) private scaled;

    constructor(uint256 rate_) {
        rate = rate_;
    }

    function current() public view returns (uint256) {
        return index + (index * rate * (block.timestamp - updated)) / 365 days / RAY;
    }

    function balanceOf(address agent) public view returns (uint256) {
        return (scaled[agent] * current()) / RAY;
    }

    function mint(address agent, uint256 amount) external {
        _touch();
        scaled[agent] += (amount * RAY) / index;
    }

    function burn(address agent, uint256 amount) external {
        _touch();
        scaled[agent] -= (amount * RAY) / index;
    }

    function _touch() private {
        index = current();
        updated = block.timestamp;
    }
}

contract SyntheticCapDelegation {
    event AddAgent(address agent, address network, uint256 ltv, uint256 liquidationThreshold);
    event SlashNetwork(address network, uint256 slashShare);

    address[] private known;
    mapping(address => address) public networks;
    mapping(address => uint256) public liquidationThreshold;

    function addAgent(address agent, address network, uint256 ltv, uint256 threshold) external {
        known.push(agent);
        networks[agent] = network;
        liquidationThreshold[agent] = threshold;
        emit AddAgent(agent, network, ltv, threshold);
    }

    function agents() external view returns (address[] memory) {
        return known;
    }

    function slashableCollateral(address agent) public view returns (uint256) {
        return INetwork(networks[agent]).slashableCollateral(agent);
    }

    function slash(address agent, address liquidator, uint256 value) external {
        address network = networks[agent];
        uint256 share = (value * 1e18) / INetwork(network).slashableCollateral(agent);
        INetwork(network).slash(agent, liquidator, share > 1e18 ? 1e18 : share);
        emit SlashNetwork(network, value);
    }
}

contract SyntheticCapLender {
    struct Reserve {
        uint256 id;
        address vault;
        address debtToken;
        address interestReceiver;
        uint8 decimals;
        bool paused;
        uint256 minBorrow;
    }

    event Liquidate(address indexed agent, address indexed liquidator, address asset, uint256 amount, uint256 value);

    uint256 private constant RAY = 1e27;
    SyntheticCapDelegation private immutable delegation;
    SyntheticCapOracle private immutable oracle;
    address[] private listed;
    mapping(address => Reserve) public reservesData;
    mapping(address => mapping(address => uint256)) private touched;
    mapping(address => uint256) private opened;
    uint256 private constant RESTAKER_RATE = 2e25;
    uint256 private constant BONUS = 1e26;

    constructor(SyntheticCapDelegation delegation_, SyntheticCapOracle oracle_) {
        delegation = delegation_;
        oracle = oracle_;
    }

    function reservesCount() external view returns (uint256) {
        return listed.length;
    }

    function addAsset(address asset, address vault, address debtToken) external {
        reservesData[asset] = Reserve(listed.length, vault, debtToken, msg.sender, IERC20(asset).decimals(), false, 0);
        listed.push(asset);
    }

    function pauseAsset(address asset, bool pause) external {
        reservesData[asset].paused = pause;
    }

    function debt(address agent, address asset) public view returns (uint256) {
        uint256 owed = SyntheticCapDebt(reservesData[asset].debtToken).balanceOf(agent);
        return owed + (owed * RESTAKER_RATE * (block.timestamp - touched[agent][asset])) / RAY / 365 days;
    }

    function health(address agent) public view returns (uint256) {
        uint256 value = 0;
        for (uint256 i = 0; i < listed.length; i++) {
            address asset = listed[i];
            uint256 owed = debt(agent, asset);
            if (owed == 0) continue;
            (uint256 price, ) = oracle.getPrice(asset);
            value += (owed * price) / 10 ** reservesData[asset].decimals;
        }
        if (value == 0) return type(uint256).max;
        return (delegation.slashableCollateral(agent) * delegation.liquidationThreshold(agent)) / value;
    }

    function borrow(address asset, uint256 amount, address receiver) external returns (uint256) {
        require(!reservesData[asset].paused, "ReservePaused");
        _realize(msg.sender, asset);
        SyntheticCapVault(reservesData[asset].vault).borrow(asset, amount, receiver);
        SyntheticCapDebt(reservesData[asset].debtToken).mint(msg.sender, amount);
        require(health(msg.sender) >= RAY, "CollateralCannotCoverNewBorrow");
        return amount;
    }

    function repay(address asset, uint256 amount, address agent) external returns (uint256) {
        return _repay(asset, amount, agent, msg.sender);
    }

    function openLiquidation(address agent) external {
        require(health(agent) < RAY, "HealthFactorNotBelowThreshold");
        opened[agent] = block.timestamp;
    }

    function liquidate(address agent, address asset, uint256 amount, uint256) external returns (uint256 value) {
        require(health(agent) < RAY && opened[agent] > 0, "HealthFactorNotBelowThreshold");
        uint256 repaid = _repay(asset, amount, agent, msg.sender);
        (uint256 price, ) = oracle.getPrice(asset);
        value = ((repaid + (repaid * BONUS) / RAY) * price) / 10 ** reservesData[asset].decimals;
        uint256 slashable = delegation.slashableCollateral(agent);
        if (slashable < value) value = slashable;
        if (value > 0) delegation.slash(agent, msg.sender, value);
        emit Liquidate(agent, msg.sender, asset, repaid, value);
    }

    function _repay(address asset, uint256 amount, address agent, address payer) private returns (uint256) {
        _realize(agent, asset);
        uint256 owed = debt(agent, asset);
        if (amount > owed) amount = owed;
        Reserve storage reserve = reservesData[asset];
        require(IERC20(asset).transferFrom(payer, address(this), amount), "transfer");
        uint256 lent = SyntheticCapVault(reserve.vault).totalBorrows(asset);
        SyntheticCapVault(reserve.vault).repay(asset, amount < lent ? amount : lent);
        SyntheticCapDebt(reserve.debtToken).burn(agent, amount);
        return amount;
    }

    function approve(address asset, address spender) external {
        (bool ok, ) = asset.call(abi.encodeWithSignature("approve(address,uint256)", spender, type(uint256).max));
        require(ok, "approve");
    }

    function _realize(address agent, address asset) private {
        uint256 extra = debt(agent, asset) - SyntheticCapDebt(reservesData[asset].debtToken).balanceOf(agent);
        if (extra > 0) SyntheticCapDebt(reservesData[asset].debtToken).mint(agent, extra);
        touched[agent][asset] = block.timestamp;
    }
}

/// Covers agents with one token and says so by `vaults(agent)` and the vault's `collateral()`, as networks of 2025 do.
contract SyntheticSymbioticNetwork {
    event Slash(address indexed agent, address recipient, uint256 amount);

    address internal immutable token;
    SyntheticCapOracle internal immutable oracle;
    mapping(address => uint256) internal stake;

    constructor(address token_, SyntheticCapOracle oracle_) {
        token = token_;
        oracle = oracle_;
    }

    function cover(address agent, uint256 amount) external {
        require(IERC20(token).transferFrom(msg.sender, address(this), amount), "transfer");
        stake[agent] += amount;
    }

    function vaults(address) external view virtual returns (address) {
        return address(this);
    }

    function collateral() external view returns (address) {
        return token;
    }

    function slashableCollateral(address agent) external view returns (uint256) {
        (uint256 price, ) = oracle.getPrice(token);
        return (stake[agent] * price) / 10 ** IERC20(token).decimals();
    }

    function slash(address agent, address recipient, uint256 share) external {
        uint256 amount = share == 1e18 ? stake[agent] : (stake[agent] * share) / 1e18 + 1;
        stake[agent] -= amount;
        require(IERC20(token).transfer(recipient, amount), "transfer");
        _say(agent, recipient, amount);
    }

    function _say(address agent, address recipient, uint256 amount) internal virtual {
        emit Slash(agent, recipient, amount);
    }
}

/// Covers agents with one token and says so by `collateral(agent)`, as the EigenLayer adapter does.
contract SyntheticEigenNetwork is SyntheticSymbioticNetwork {
    event Slash(address indexed agent, address indexed recipient, uint256 slashShare, uint48 timestamp);

    constructor(address token_, SyntheticCapOracle oracle_) SyntheticSymbioticNetwork(token_, oracle_) {}

    function collateral(address) external view returns (address) {
        return token;
    }

    function vaults(address) external pure override returns (address) {
        revert("no vaults");
    }

    function _say(address agent, address recipient, uint256 amount) internal override {
        emit Slash(agent, recipient, amount, uint48(block.timestamp));
    }
}
