//! How labels go together: counts of every pair of labels, and the phi coefficient
//! of each pair as the core computes it.

use mindrail_core::metrics::JointCounts;

use super::table::{Figure, Table};

/// How often each pair of labels holds together, over the same rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cooccurrence {
    rows: u64,
    /// `counts[i][j]`: rows in which both hold; on the diagonal, rows in which one
    /// does. Symmetric.
    counts: Vec<Vec<u64>>,
}

impl Cooccurrence {
    /// No rows yet, of so many labels.
    pub fn new(labels: usize) -> Self {
        Self { rows: 0, counts: vec![vec![0; labels]; labels] }
    }

    /// From counts that somebody else made: rows in all, and the symmetric table
    /// with each label's own count on the diagonal.
    pub const fn of_counts(rows: u64, counts: Vec<Vec<u64>>) -> Self {
        Self { rows, counts }
    }

    /// Counts a row in which these labels hold, by their index.
    pub fn add(&mut self, held: &[usize]) {
        self.rows += 1;
        for &i in held {
            for &j in held {
                self.counts[i][j] += 1;
            }
        }
    }

    /// Rows in which both labels hold.
    pub fn both(&self, i: usize, j: usize) -> u64 {
        self.counts[i][j]
    }

    /// The counts of one pair.
    fn pair(&self, i: usize, j: usize) -> JointCounts {
        let [both, first, second] = [self.counts[i][j], self.counts[i][i], self.counts[j][j]];
        // No label holds more often than there are rows, nor less often than the pair.
        let neither = self.rows + both - first - second;
        let [both, first_only, second_only, neither] =
            [both, first - both, second - both, neither].map(|count| count as usize);
        JointCounts { both, first_only, second_only, neither }
    }

    /// The phi coefficient of two labels, in [-1, 1]. `None` where a label holds in
    /// all rows or in none.
    pub fn phi(&self, i: usize, j: usize) -> Option<f64> {
        self.pair(i, j).phi()
    }

    /// All coefficients, with the names of the labels. Column names are numbers, as
    /// nineteen names do not fit on a line.
    pub fn table(&self, title: &'static str, names: &[&str]) -> Table {
        let figure = |i, j| self.phi(i, j).map_or(Figure::Undefined, Figure::Real);
        let row = |i: usize| {
            let figures = (0..names.len()).map(|j| figure(i, j)).collect();
            (format!("{} {}", i + 1, names[i]), figures)
        };
        Table {
            title,
            columns: (1..=names.len()).map(|at| at.to_string()).collect(),
            rows: (0..names.len()).map(row).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Pearson's correlation by its definition.
    fn pearson(xs: &[f64], ys: &[f64]) -> f64 {
        let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
        let (mx, my) = (mean(xs), mean(ys));
        let sum = |f: &dyn Fn(f64, f64) -> f64| xs.iter().zip(ys).map(|(&x, &y)| f(x, y)).sum::<f64>();
        let cov = sum(&|x, y| (x - mx) * (y - my));
        cov / (sum(&|x, _| (x - mx).powi(2)) * sum(&|_, y| (y - my).powi(2))).sqrt()
    }

    proptest! {
        #[test]
        fn phi_is_the_correlation_of_flags(rows in prop::collection::vec((any::<bool>(), any::<bool>()), 1..60)) {
            let mut joint = Cooccurrence::new(2);
            for &(a, b) in &rows {
                let held: Vec<usize> = [a.then_some(0), b.then_some(1)].into_iter().flatten().collect();
                joint.add(&held);
            }
            let flags = |f: fn(&(bool, bool)) -> bool| rows.iter().map(|r| f64::from(u8::from(f(r)))).collect::<Vec<_>>();
            let expected = pearson(&flags(|r| r.0), &flags(|r| r.1));
            match joint.phi(0, 1) {
                Some(phi) => prop_assert!((phi - expected).abs() < 1e-9, "{phi} {expected}"),
                None => prop_assert!(!expected.is_finite()),
            }
        }
    }
}
