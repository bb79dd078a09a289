// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

interface IToken {
    function balanceOf(address owner) external view returns (uint256);
    function decimals() external view returns (uint8);
    function transfer(address to, uint256 amount) external returns (bool);
    function transferFrom(address from, address to, uint256 amount) external returns (bool);
}

interface IFeed {
    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80);
}

/// A market with the documented interface and arithmetic of Compound III, written for tests. Not Compound's code.
contract SyntheticComet {
    struct AssetConfig {
        address asset;
        address priceFeed;
        uint8 decimals;
        uint64 borrowCollateralFactor;
        uint64 liquidateCollateralFactor;
        uint64 liquidationFactor;
        uint128 supplyCap;
    }

    struct Configuration {
        address governor;
        address pauseGuardian;
        address baseToken;
        address baseTokenPriceFeed;
        address extensionDelegate;
        uint64 supplyKink;
        uint64 supplyPerYearInterestRateSlopeLow;
        uint64 supplyPerYearInterestRateSlopeHigh;
        uint64 supplyPerYearInterestRateBase;
        uint64 borrowKink;
        uint64 borrowPerYearInterestRateSlopeLow;
        uint64 borrowPerYearInterestRateSlopeHigh;
        uint64 borrowPerYearInterestRateBase;
        uint64 storeFrontPriceFactor;
        uint64 trackingIndexScale;
        uint64 baseTrackingSupplySpeed;
        uint64 baseTrackingBorrowSpeed;
        uint104 baseMinForRewards;
        uint104 baseBorrowMin;
        uint104 targetReserves;
        AssetConfig[] assetConfigs;
    }

    struct AssetInfo {
        uint8 offset;
        address asset;
        address priceFeed;
        uint64 scale;
        uint64 borrowCollateralFactor;
        uint64 liquidateCollateralFactor;
        uint64 liquidationFactor;
        uint128 supplyCap;
    }

    event AbsorbDebt(address indexed absorber, address indexed borrower, uint256 basePaidOut, uint256 usdValue);
    event AbsorbCollateral(
        address indexed absorber,
        address indexed borrower,
        address indexed asset,
        uint256 collateralAbsorbed,
        uint256 usdValue
    );
    event BuyCollateral(address indexed buyer, address indexed asset, uint256 baseAmount, uint256 collateralAmount);

    uint256 private constant INDEX = 1e15;
    uint256 private constant FACTOR = 1e18;
    uint256 private constant YEAR = 365 days;

    Configuration private config;
    AssetInfo[] private infos;
    uint256 public baseScale;
    uint256 private supplyIndex;
    uint256 private borrowIndex;
    uint256 private accruedAt;
    uint256 private supplyPrincipal;
    uint256 private borrowPrincipal;
    bool private paused;
    mapping(address => int256) private principal;
    mapping(address => mapping(address => uint256)) private pledged;
    mapping(address => uint256) private pledgedTotal;

    constructor(Configuration memory config_) {
        config.governor = config_.governor;
        config.baseToken = config_.baseToken;
        config.baseTokenPriceFeed = config_.baseTokenPriceFeed;
        config.supplyKink = config_.supplyKink;
        config.supplyPerYearInterestRateSlopeLow = config_.supplyPerYearInterestRateSlopeLow;
        config.supplyPerYearInterestRateSlopeHigh = config_.supplyPerYearInterestRateSlopeHigh;
        config.supplyPerYearInterestRateBase = config_.supplyPerYearInterestRateBase;
        config.borrowKink = config_.borrowKink;
        config.borrowPerYearInterestRateSlopeLow = config_.borrowPerYearInterestRateSlopeLow;
        config.borrowPerYearInterestRateSlopeHigh = config_.borrowPerYearInterestRateSlopeHigh;
        config.borrowPerYearInterestRateBase = config_.borrowPerYearInterestRateBase;
        config.storeFrontPriceFactor = config_.storeFrontPriceFactor;
        config.targetReserves = config_.targetReserves;
        baseScale = 10 ** IToken(config_.baseToken).decimals();
        for (uint8 i = 0; i < config_.assetConfigs.length; i++) {
            AssetConfig memory one = config_.assetConfigs[i];
            infos.push(
                AssetInfo(
                    i,
                    one.asset,
                    one.priceFeed,
                    uint64(10 ** one.decimals),
                    one.borrowCollateralFactor,
                    one.liquidateCollateralFactor,
                    one.liquidationFactor,
                    one.supplyCap
                )
            );
        }
    }

    function initializeStorage() external {
        require(accruedAt == 0, "initialised");
        accruedAt = block.timestamp;
        supplyIndex = INDEX;
        borrowIndex = INDEX;
    }

    // -- what a collector reads

    /// The first of the basic totals; the real extension gives the others after it.
    function totalsBasic() external view returns (uint256) {
        return supplyIndex;
    }

    function baseToken() external view returns (address) {
        return config.baseToken;
    }

    function baseTokenPriceFeed() external view returns (address) {
        return config.baseTokenPriceFeed;
    }

    function numAssets() external view returns (uint8) {
        return uint8(infos.length);
    }

    function getAssetInfo(uint8 i) external view returns (AssetInfo memory) {
        require(i < infos.length, "BadAsset");
        return infos[i];
    }

    function getAssetInfoByAddress(address asset) external view returns (AssetInfo memory) {
        return _info(asset);
    }

    function totalsCollateral(address asset) external view returns (uint128, uint128) {
        return (uint128(pledgedTotal[asset]), 0);
    }

    function userCollateral(address account, address asset) external view returns (uint128, uint128) {
        return (uint128(pledged[account][asset]), 0);
    }

    function totalSupply() public view returns (uint256) {
        (uint256 index, ) = _indices();
        return (supplyPrincipal * index) / INDEX;
    }

    function totalBorrow() public view returns (uint256) {
        (, uint256 index) = _indices();
        return (borrowPrincipal * index) / INDEX;
    }

    function getReserves() public view returns (int256) {
        return
            int256(IToken(config.baseToken).balanceOf(address(this))) - int256(totalSupply()) + int256(totalBorrow());
    }

    function getCollateralReserves(address asset) public view returns (uint256) {
        return IToken(asset).balanceOf(address(this)) - pledgedTotal[asset];
    }

    function getPrice(address feed) public view returns (uint256) {
        (, int256 price, , , ) = IFeed(feed).latestRoundData();
        require(price > 0, "BadPrice");
        return uint256(price);
    }

    function borrowBalanceOf(address account) external view returns (uint256) {
        (, uint256 index) = _indices();
        return principal[account] < 0 ? (uint256(-principal[account]) * index) / INDEX : 0;
    }

    function balanceOf(address account) external view returns (uint256) {
        (uint256 index, ) = _indices();
        return principal[account] > 0 ? (uint256(principal[account]) * index) / INDEX : 0;
    }

    function quoteCollateral(address asset, uint256 baseAmount) public view returns (uint256) {
        AssetInfo memory info = _info(asset);
        uint256 discount = (uint256(config.storeFrontPriceFactor) * (FACTOR - info.liquidationFactor)) / FACTOR;
        uint256 price = (getPrice(info.priceFeed) * (FACTOR - discount)) / FACTOR;
        return (getPrice(config.baseTokenPriceFeed) * baseAmount * info.scale) / price / baseScale;
    }

    // -- what users do

    function pause(bool supplyPaused, bool, bool, bool, bool) external {
        require(msg.sender == config.governor, "Unauthorized");
        paused = supplyPaused;
    }

    function supply(address asset, uint256 amount) external {
        require(!paused, "Paused");
        _accrue();
        require(IToken(asset).transferFrom(msg.sender, address(this), amount), "transfer");
        if (asset == config.baseToken) {
            _setBalance(msg.sender, _balance(msg.sender) + int256(amount));
        } else {
            AssetInfo memory info = _info(asset);
            pledged[msg.sender][asset] += amount;
            pledgedTotal[asset] += amount;
            require(pledgedTotal[asset] <= info.supplyCap, "SupplyCapExceeded");
        }
    }

    function withdraw(address asset, uint256 amount) external {
        _accrue();
        if (asset == config.baseToken) {
            _setBalance(msg.sender, _balance(msg.sender) - int256(amount));
        } else {
            pledged[msg.sender][asset] -= amount;
            pledgedTotal[asset] -= amount;
        }
        require(_health(msg.sender, false) >= 0, "NotCollateralized");
        require(IToken(asset).transfer(msg.sender, amount), "transfer");
    }

    function absorb(address absorber, address[] calldata accounts) external {
        _accrue();
        for (uint256 i = 0; i < accounts.length; i++) _absorb(absorber, accounts[i]);
    }

    function buyCollateral(address asset, uint256 minAmount, uint256 baseAmount, address recipient) external {
        int256 reserves = getReserves();
        require(reserves < 0 || uint256(reserves) < config.targetReserves, "NotForSale");
        require(IToken(config.baseToken).transferFrom(msg.sender, address(this), baseAmount), "transfer");
        uint256 amount = quoteCollateral(asset, baseAmount);
        require(amount >= minAmount, "TooMuchSlippage");
        require(amount <= getCollateralReserves(asset), "InsufficientReserves");
        require(IToken(asset).transfer(recipient, amount), "transfer");
        emit BuyCollateral(msg.sender, asset, baseAmount, amount);
    }

    // -- inside

    function _absorb(address absorber, address account) private {
        require(_health(account, true) < 0, "NotLiquidatable");
        int256 before = _balance(account);
        uint256 basePrice = getPrice(config.baseTokenPriceFeed);
        uint256 credit = 0;
        for (uint256 i = 0; i < infos.length; i++) {
            AssetInfo memory info = infos[i];
            uint256 seized = pledged[account][info.asset];
            if (seized == 0) continue;
            pledged[account][info.asset] = 0;
            pledgedTotal[info.asset] -= seized;
            uint256 value = (seized * getPrice(info.priceFeed)) / info.scale;
            credit += (value * info.liquidationFactor) / FACTOR;
            emit AbsorbCollateral(absorber, account, info.asset, seized, value);
        }
        int256 balance = before + int256((credit * baseScale) / basePrice);
        if (balance < 0) balance = 0;
        _setBalance(account, balance);
        uint256 paid = uint256(balance - before);
        emit AbsorbDebt(absorber, account, paid, (paid * basePrice) / baseScale);
    }

    function _health(address account, bool liquidation) private view returns (int256 value) {
        int256 base = _balance(account);
        if (base >= 0) return 0;
        value = (base * int256(getPrice(config.baseTokenPriceFeed))) / int256(baseScale);
        for (uint256 i = 0; i < infos.length; i++) {
            AssetInfo memory info = infos[i];
            uint256 amount = pledged[account][info.asset];
            if (amount == 0) continue;
            uint256 factor = liquidation ? info.liquidateCollateralFactor : info.borrowCollateralFactor;
            value += int256((((amount * getPrice(info.priceFeed)) / info.scale) * factor) / FACTOR);
        }
    }

    function _info(address asset) private view returns (AssetInfo memory) {
        for (uint256 i = 0; i < infos.length; i++) if (infos[i].asset == asset) return infos[i];
        revert("BadAsset");
    }

    function _indices() private view returns (uint256, uint256) {
        uint256 elapsed = block.timestamp - accruedAt;
        uint256 supplied = (supplyPrincipal * supplyIndex) / INDEX;
        uint256 used = supplied == 0 ? 0 : (((borrowPrincipal * borrowIndex) / INDEX) * FACTOR) / supplied;
        uint256 earn = _rate(
            used,
            config.supplyKink,
            config.supplyPerYearInterestRateBase,
            config.supplyPerYearInterestRateSlopeLow,
            config.supplyPerYearInterestRateSlopeHigh
        );
        uint256 cost = _rate(
            used,
            config.borrowKink,
            config.borrowPerYearInterestRateBase,
            config.borrowPerYearInterestRateSlopeLow,
            config.borrowPerYearInterestRateSlopeHigh
        );
        return (
            supplyIndex + (supplyIndex * earn * elapsed) / FACTOR,
            borrowIndex + (borrowIndex * cost * elapsed) / FACTOR
        );
    }

    function _rate(uint256 used, uint256 kink, uint256 base, uint256 low, uint256 high)
        private
        pure
        returns (uint256)
    {
        if (used <= kink) return base / YEAR + ((low / YEAR) * used) / FACTOR;
        return base / YEAR + ((low / YEAR) * kink) / FACTOR + ((high / YEAR) * (used - kink)) / FACTOR;
    }

    function _accrue() private {
        (supplyIndex, borrowIndex) = _indices();
        accruedAt = block.timestamp;
    }

    /// Needs indices that are accrued or read at the same timestamp.
    function _balance(address account) private view returns (int256) {
        (uint256 earned, uint256 owed) = _indices();
        int256 share = principal[account];
        if (share >= 0) return int256((uint256(share) * earned) / INDEX);
        return -int256((uint256(-share) * owed) / INDEX);
    }

    function _setBalance(address account, int256 balance) private {
        int256 before = principal[account];
        // rounded against the user: less supplied, more owed
        int256 share = balance >= 0
            ? int256((uint256(balance) * INDEX) / supplyIndex)
            : -int256((uint256(-balance) * INDEX + borrowIndex - 1) / borrowIndex);
        if (before > 0) supplyPrincipal -= uint256(before);
        if (before < 0) borrowPrincipal -= uint256(-before);
        if (share > 0) supplyPrincipal += uint256(share);
        if (share < 0) borrowPrincipal += uint256(-share);
        principal[account] = share;
    }
}
