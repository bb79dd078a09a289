# What R's plm says of the synthetic panel beside this file, as JSON: Rscript plm.R fixtures/synthetic_panel.csv > fixtures/plm.json
# The numbers are named <series>/<terms>/<lags>/<test>/<what>. No package but plm is needed.
suppressPackageStartupMessages(library(plm))
options(warn = -1)  # plm warns that a series is long or that a p-value is cut to its table

panel <- read.csv(commandArgs(TRUE)[1])
panel$date <- as.Date(panel$date)
panel <- panel[order(panel$csu, panel$date), ]
panel$level <- log1p(panel$total_tvl_usd)
panel$change <- ave(panel$level, panel$csu, FUN = function(x) c(NA, diff(x)))
panel$borrowed <- log1p(panel$total_borrowed_usd)

names_seen <- character(0)
values_seen <- numeric(0)
keep <- function(name, value) {
  names_seen <<- c(names_seen, name)
  values_seen <<- c(values_seen, unname(as.numeric(value)))
}
keep_test <- function(name, test) {
  keep(paste0(name, "/statistic"), test$statistic)
  if (!is.null(test$p.value) && !is.na(test$p.value)) keep(paste0(name, "/p"), test$p.value)
}

late <- max(tapply(panel$date, panel$csu, min)) + 1  # from here on every market has a change
for (series in c("level", "change")) {
  rows <- panel[!is.na(panel[[series]]), ]
  all <- pdata.frame(rows, index = c("csu", "date"))
  even <- pdata.frame(rows[rows$date >= late, ], index = c("csu", "date"))
  for (terms in c("intercept", "trend")) {
    for (lags in c("AIC", "SIC", "Hall", "0", "2")) {
      given <- if (lags %in% c("0", "2")) as.integer(lags) else lags
      name <- paste(series, terms, lags, sep = "/")
      for (test in c("madwu", "Pm", "invnormal", "logit", "ips")) {
        found <- purtest(all[[series]], test = test, exo = terms, lags = given, pmax = 10, p.approx = "MacKinnon1994")
        keep_test(paste(name, test, sep = "/"), found$statistic)
      }
      for (unit in names(found$idres)) {
        keep(paste(name, "adf", unit, "t", sep = "/"), found$idres[[unit]]$trho)
        keep(paste(name, "adf", unit, "p", sep = "/"), found$idres[[unit]]$p.trho)
        keep(paste(name, "adf", unit, "lags", sep = "/"), found$idres[[unit]]$lags)
      }
      keep_test(paste(name, "levinlin", sep = "/"),
                purtest(even[[series]], test = "levinlin", exo = terms, lags = given, pmax = 10, p.approx = "MacKinnon1994")$statistic)
    }
    keep_test(paste(series, terms, "hadri", sep = "/"), purtest(even[[series]], test = "hadri", exo = terms)$statistic)
    found <- purtest(even[[series]], test = "ips", exo = terms, lags = 0, ips.stat = "tbar", p.approx = "MacKinnon1994")$statistic
    keep(paste(series, terms, "tbar/statistic", sep = "/"), found$statistic)
    for (cut in c(1, 5, 10))
      keep(paste(series, terms, "tbar", cut, sep = "/"), found$ips.tbar.crit[paste0(cut, "%")])
    for (lags in 1:3) for (truncated in c(FALSE, TRUE)) {
      kind <- c(intercept = "drift", trend = "trend")[[terms]]
      keep_test(paste(series, terms, lags, if (truncated) "cips_truncated" else "cips", sep = "/"),
                cipstest(even[[series]], lags = lags, type = kind, truncated = truncated))
    }
  }
  keep_test(paste(series, "intercept/0/ztbar", sep = "/"),
            purtest(all[[series]], test = "ips", exo = "intercept", lags = 0, ips.stat = "Ztbar", p.approx = "MacKinnon1994")$statistic)
  for (test in c("cd", "lm", "sclm", "rho", "absrho"))
    keep_test(paste(series, "dependence", test, sep = "/"), pcdtest(all[[series]], test = test))
}
# The bias-corrected test wants a within model: of a constant alone its residuals are the series without its means.
even <- pdata.frame(panel[panel$date >= late, ], index = c("csu", "date"))
fit <- plm(change ~ borrowed, data = even, model = "within")
keep_test("within/dependence/bcsclm", pcdtest(fit, test = "bcsclm"))
keep_test("within/dependence/cd", pcdtest(fit, test = "cd"))

# Least squares with market effects and Driscoll-Kraay errors, by default and by given lags, balanced and not.
for (what in c("even", "all")) {
  data <- if (what == "even") even else pdata.frame(panel[!is.na(panel$change), ], index = c("csu", "date"))
  fit <- plm(change ~ borrowed + level, data = data, model = "within")
  name <- paste("scc", what, "within", sep = "/")
  for (term in names(coef(fit))) keep(paste(name, "coefficient", term, sep = "/"), coef(fit)[term])
  for (lags in c("default", "0", "5")) {
    covariance <- vcovSCC(fit, maxlag = if (lags == "default") NULL else as.integer(lags))
    for (term in rownames(covariance)) keep(paste(name, lags, term, sep = "/"), sqrt(covariance[term, term]))
  }
}

# A first-order autoregression by difference GMM with collapsed instruments, robust errors (Windmeijer's in two steps).
data <- pdata.frame(transform(panel, used = total_borrowed_usd / total_tvl_usd), index = c("csu", "date"))
for (steps in c("onestep", "twosteps")) {
  fit <- pgmm(used ~ lag(used, 1) | lag(used, 2:3), data = data, effect = "individual", model = steps,
              transformation = "d", collapse = TRUE)
  keep(paste("pgmm", steps, "coefficient", sep = "/"), coef(fit))
  keep(paste("pgmm", steps, "error", sep = "/"), sqrt(vcovHC(fit)))
  if (steps == "twosteps") keep_test("pgmm/twosteps/hansen", sargan(fit, weights = "twosteps"))
}

# Critical values of CIPS away from the printed sizes: what plm reads between them.
for (units in c(11, 47, 150)) for (periods in c(14, 99, 150)) for (kind in c("none", "drift", "trend"))
  for (at in c(-2.3, -2.1))
    local({
      p <- plm:::critvals.cips(stat = at, n = units, T. = periods, type = kind)
      p <- switch(as.character(p), "< 0.01" = 0.01, "> 0.10" = 0.1, as.numeric(p))
      keep(paste("cips_p", kind, units, periods, at, sep = "/"), p)
    })

cat("{\n \"versions\": {\"R\": \"", as.character(getRversion()), "\", \"plm\": \"",
    as.character(packageVersion("plm")), "\"},\n \"numbers\": {\n", sep = "")
cat(paste0("  \"", names_seen, "\": ", ifelse(is.finite(values_seen), sprintf("%.15g", values_seen), "null")),
    sep = ",\n")
cat("\n }\n}\n")
