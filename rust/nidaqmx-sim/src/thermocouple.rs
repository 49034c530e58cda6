//! Thermocouples: the reference functions of the ITS-90, millivolts over degrees Celsius.

/// One stretch of a reference function: up to a temperature, a polynomial, lowest power first.
struct Stretch {
    up_to: f64,
    coefficients: &'static [f64],
}

/// The reference function of a type of thermocouple.
pub(crate) struct Reference {
    lowest: f64,
    stretches: &'static [Stretch],
    /// Added above 0 °C: `a0 * exp(a1 * (t - a2)^2)`.
    bump: Option<[f64; 3]>,
}

impl std::fmt::Debug for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reference({} to {} °C)", self.lowest, self.highest())
    }
}

macro_rules! reference {
    ($lowest:expr, $bump:expr, $(($up_to:expr, [$($c:expr),* $(,)?])),* $(,)?) => {
        Reference {
            lowest: $lowest,
            stretches: &[$(Stretch { up_to: $up_to, coefficients: &[$($c),*] }),*],
            bump: $bump,
        }
    };
}

#[rustfmt::skip]
static B: Reference = reference!(0.0, None,
    (630.615, [0.0, -0.246508183460e-3, 0.590404211710e-5, -0.132579316360e-8, 0.156682919010e-11,
        -0.169445292400e-14, 0.629903470940e-18]),
    (1820.0, [-0.389381686210e1, 0.285717474700e-1, -0.848851047850e-4, 0.157852801640e-6,
        -0.168353448640e-9, 0.111097940130e-12, -0.445154310330e-16, 0.989756408210e-20,
        -0.937913302890e-24]));
#[rustfmt::skip]
static E: Reference = reference!(-270.0, None,
    (0.0, [0.0, 0.586655087080e-1, 0.454109771240e-4, -0.779980486860e-6, -0.258001608430e-7,
        -0.594525830570e-9, -0.932140586670e-11, -0.102876055340e-12, -0.803701236210e-15,
        -0.439794973910e-17, -0.164147763550e-19, -0.396736195160e-22, -0.558273287210e-25,
        -0.346578420130e-28]),
    (1000.0, [0.0, 0.586655087100e-1, 0.450322755820e-4, 0.289084072120e-7, -0.330568966520e-9,
        0.650244032700e-12, -0.191974955040e-15, -0.125366004970e-17, 0.214892175690e-20,
        -0.143880417820e-23, 0.359608994810e-27]));
#[rustfmt::skip]
static J: Reference = reference!(-210.0, None,
    (760.0, [0.0, 0.503811878150e-1, 0.304758369300e-4, -0.856810657200e-7, 0.132281952950e-9,
        -0.170529583370e-12, 0.209480906970e-15, -0.125383953360e-18, 0.156317256970e-22]),
    (1200.0, [0.296456256810e3, -0.149761277860e1, 0.317871039240e-2, -0.318476867010e-5,
        0.157208190040e-8, -0.306913690560e-12]));
#[rustfmt::skip]
static K: Reference = reference!(-270.0, Some([0.118597600000, -0.118343200000e-3, 0.126968600000e3]),
    (0.0, [0.0, 0.394501280250e-1, 0.236223735980e-4, -0.328589067840e-6, -0.499048287770e-8,
        -0.675090591730e-10, -0.574103274280e-12, -0.310888728940e-14, -0.104516093650e-16,
        -0.198892668780e-19, -0.163226974860e-22]),
    (1372.0, [-0.176004136860e-1, 0.389212049750e-1, 0.185587700320e-4, -0.994575928740e-7,
        0.318409457190e-9, -0.560728448890e-12, 0.560750590590e-15, -0.320207200030e-18,
        0.971511471520e-22, -0.121047212750e-25]));
#[rustfmt::skip]
static N: Reference = reference!(-270.0, None,
    (0.0, [0.0, 0.261591059620e-1, 0.109574842280e-4, -0.938411115540e-7, -0.464120397590e-10,
        -0.263033577160e-11, -0.226534380030e-13, -0.760893007910e-16, -0.934196678350e-19]),
    (1300.0, [0.0, 0.259293946010e-1, 0.157101418800e-4, 0.438256272370e-7, -0.252611697940e-9,
        0.643118193390e-12, -0.100634715190e-14, 0.997453389920e-18, -0.608632456070e-21,
        0.208492293390e-24, -0.306821961510e-28]));
#[rustfmt::skip]
static R: Reference = reference!(-50.0, None,
    (1064.18, [0.0, 0.528961729765e-2, 0.139166589782e-4, -0.238855693017e-7, 0.356916001063e-10,
        -0.462347666298e-13, 0.500777441034e-16, -0.373105886191e-19, 0.157716482367e-22,
        -0.281038625251e-26]),
    (1664.5, [0.295157925316e1, -0.252061251332e-2, 0.159564501865e-4, -0.764085947576e-8,
        0.205305291024e-11, -0.293359668173e-15]),
    (1768.1, [0.152232118209e3, -0.268819888545, 0.171280280471e-3, -0.345895706453e-7,
        -0.934633971046e-14]));
#[rustfmt::skip]
static S: Reference = reference!(-50.0, None,
    (1064.18, [0.0, 0.540313308631e-2, 0.125934289740e-4, -0.232477968689e-7, 0.322028823036e-10,
        -0.331465196389e-13, 0.255744251786e-16, -0.125068871393e-19, 0.271443176145e-23]),
    (1664.5, [0.132900444085e1, 0.334509311344e-2, 0.654805192818e-5, -0.164856259209e-8,
        0.129989605174e-13]),
    (1768.1, [0.146628232636e3, -0.258430516752, 0.163693574641e-3, -0.330439046987e-7,
        -0.943223690612e-14]));
#[rustfmt::skip]
static T: Reference = reference!(-270.0, None,
    (0.0, [0.0, 0.387481063640e-1, 0.441944343470e-4, 0.118443231050e-6, 0.200329735540e-7,
        0.901380195590e-9, 0.226511565930e-10, 0.360711542050e-12, 0.384939398830e-14,
        0.282135219250e-16, 0.142515947790e-18, 0.487686622860e-21, 0.107955392700e-23,
        0.139450270620e-26, 0.797951539270e-30]),
    (400.0, [0.0, 0.387481063640e-1, 0.332922278800e-4, 0.206182434040e-6, -0.218822568460e-8,
        0.109968809280e-10, -0.308157587720e-13, 0.454791352900e-16, -0.275129016730e-19]));

/// The reference function of DAQmx's number of a type; `None` where it is not simulated.
pub(crate) fn find(kind: i32) -> Option<&'static Reference> {
    Some(match kind {
        10047 => &B,
        10055 => &E,
        10072 => &J,
        10073 => &K,
        10077 => &N,
        10082 => &R,
        10085 => &S,
        10086 => &T,
        _ => return None,
    })
}

impl Reference {
    fn highest(&self) -> f64 {
        self.stretches
            .last()
            .map_or(self.lowest, |stretch| stretch.up_to)
    }

    /// Millivolts at a temperature; beyond the function's ends its slope goes on.
    pub(crate) fn millivolts(&self, celsius: f64) -> f64 {
        let inside = celsius.clamp(self.lowest, self.highest());
        let (value, slope) = self.value_and_slope(inside);
        value + slope * (celsius - inside)
    }

    fn value_and_slope(&self, celsius: f64) -> (f64, f64) {
        let stretch = self
            .stretches
            .iter()
            .find(|stretch| celsius <= stretch.up_to)
            .or(self.stretches.last());
        let (mut value, mut slope) = (0.0, 0.0);
        for coefficient in stretch
            .map_or(&[][..], |stretch| stretch.coefficients)
            .iter()
            .rev()
        {
            slope = slope * celsius + value;
            value = value * celsius + coefficient;
        }
        if let Some([a0, a1, a2]) = self.bump
            && celsius > 0.0
        {
            let away = celsius - a2;
            let bump = a0 * (a1 * away * away).exp();
            value += bump;
            slope += bump * 2.0 * a1 * away;
        }
        (value, slope)
    }

    /// The temperature at which the thermocouple gives so many millivolts: a bracketed Newton.
    pub(crate) fn celsius(&self, millivolts: f64) -> f64 {
        let (mut low, mut high) = (self.lowest, self.highest());
        // Type B falls at first: below 42 °C its voltage stands for two temperatures.
        if self.lowest == 0.0 {
            low = 42.0;
        }
        let ends = [low, high].map(|end| (end, self.value_and_slope(end)));
        for (end, (value, slope)) in ends {
            let beyond = if end == low {
                millivolts <= value
            } else {
                millivolts >= value
            };
            if beyond {
                return if slope.abs() > 1e-9 {
                    end + (millivolts - value) / slope
                } else {
                    end
                };
            }
        }
        let mut guess =
            low + (high - low) * (millivolts - ends[0].1.0) / (ends[1].1.0 - ends[0].1.0);
        for _ in 0..60 {
            let (value, slope) = self.value_and_slope(guess);
            let error = value - millivolts;
            if error > 0.0 {
                high = guess;
            } else {
                low = guess;
            }
            let next = guess - error / slope;
            let next = if next > low && next < high {
                next
            } else {
                (low + high) / 2.0
            };
            if (next - guess).abs() <= 1e-9 * (1.0 + guess.abs()) {
                return next;
            }
            guess = next;
        }
        guess
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_functions_meet_the_published_tables() {
        let table = [
            (10073, 100.0, 4.096),
            (10073, 1000.0, 41.276),
            (10073, -100.0, -3.554),
            (10072, 100.0, 5.269),
            (10072, 1000.0, 57.953),
            (10072, -100.0, -4.633),
            (10086, 100.0, 4.279),
            (10086, -100.0, -3.379),
            (10055, 100.0, 6.319),
            (10055, 500.0, 37.005),
            (10055, -100.0, -5.237),
            (10077, 100.0, 2.774),
            (10077, 1000.0, 36.256),
            (10082, 1000.0, 10.506),
            (10082, 1500.0, 17.451),
            (10085, 1000.0, 9.587),
            (10085, 1500.0, 15.582),
            (10047, 1000.0, 4.834),
            (10047, 1500.0, 10.099),
        ];
        for (kind, celsius, millivolts) in table {
            let reference = find(kind).unwrap();
            assert!(
                (reference.millivolts(celsius) - millivolts).abs() < 6e-4,
                "type {kind} at {celsius}: {}",
                reference.millivolts(celsius)
            );
        }
    }

    #[test]
    fn stretches_join_and_inversion_finds_the_temperature() {
        for kind in [10047, 10055, 10072, 10073, 10077, 10082, 10085, 10086] {
            let reference = find(kind).unwrap();
            for pair in reference.stretches.windows(2) {
                let border = pair[0].up_to;
                let step = reference.millivolts(border + 1e-9) - reference.millivolts(border);
                assert!(step.abs() < 2e-3, "type {kind} steps by {step} at {border}");
            }
            let mut celsius = reference.lowest.max(-200.0) + 1.0;
            if kind == 10047 {
                celsius = 250.0;
            }
            while celsius < reference.highest() {
                let again = reference.celsius(reference.millivolts(celsius));
                assert!(
                    (again - celsius).abs() < 1e-5,
                    "type {kind} at {celsius}: {again}"
                );
                celsius += 7.3;
            }
            assert!(reference.celsius(1e4).is_finite() && reference.celsius(-1e4).is_finite());
        }
        assert!(find(16208).is_none());
    }
}
