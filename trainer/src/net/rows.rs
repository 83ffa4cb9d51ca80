//! How the rows of a batch hang together in time.

use std::ops::Range;

use candle_core::{Result, Tensor};

/// T rows of B parallel sequences, for each of R replicas. Row `t·B + b` is step t of sequence b.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    /// R.
    pub replicas: usize,
    /// T.
    pub time: usize,
    /// B.
    pub parallel: usize,
    /// `[R][T·B]`: the row is the first of an episode; memory before it is empty.
    pub first: Vec<bool>,
}

impl Rows {
    /// S samples a replica that have nothing to do with one another: T = 1, B = S.
    pub fn unrelated(replicas: usize, samples: usize) -> Self {
        Self {
            replicas,
            time: 1,
            parallel: samples,
            first: vec![true; replicas * samples],
        }
    }

    /// S = T·B: rows a replica.
    pub fn samples(&self) -> usize {
        self.time * self.parallel
    }

    /// Whether any sequence goes on from before the first row.
    pub fn continues(&self) -> bool {
        let samples = self.samples().max(1);
        let mut replicas = self.first.chunks_exact(samples);
        replicas.any(|first| first[..self.parallel].contains(&false))
    }

    /// The same with every sequence standing for `times` of them: row `t·B·n + i·B + b`.
    pub fn repeated(&self, times: usize) -> Self {
        let steps = self.first.chunks_exact(self.parallel.max(1));
        Self {
            parallel: self.parallel * times,
            first: steps.flat_map(|step| step.repeat(times)).collect(),
            ..*self
        }
    }

    /// The first `time` steps.
    pub fn until(&self, time: usize) -> Self {
        let replicas = self.first.chunks_exact(self.samples().max(1));
        Self {
            time,
            first: replicas
                .flat_map(|first| &first[..time * self.parallel])
                .copied()
                .collect(),
            ..*self
        }
    }

    /// Some of the parallel sequences.
    pub fn columns(&self, range: Range<usize>) -> Self {
        let mut first = Vec::with_capacity(self.replicas * self.time * range.len());
        for step in self.first.chunks_exact(self.parallel.max(1)) {
            first.extend_from_slice(&step[range.clone()]);
        }
        Self {
            parallel: range.len(),
            first,
            ..*self
        }
    }
}

/// `[R, S, K]` times one matrix `[K, M]` for all: `[R, S, M]`. A product a replica, because a product
/// of all rows at once may sum in another order than that of some, and replicas never mix.
pub(crate) fn by_replica(table: &Tensor, matrix: &Tensor) -> Result<Tensor> {
    table.matmul(&matrix.broadcast_left(table.dim(0)?)?.contiguous()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_cut_along_time_and_along_sequences() {
        let rows = Rows {
            replicas: 2,
            time: 2,
            parallel: 3,
            first: [
                [true, true, false, false, true, false],
                [false, false, false, true, true, true],
            ]
            .concat(),
        };
        assert!(rows.continues() && !Rows::unrelated(2, 3).continues());
        let until = rows.until(1);
        assert_eq!((until.time, until.parallel), (1, 3));
        assert_eq!(until.first, [true, true, false, false, false, false]);
        let columns = rows.columns(1..3);
        assert_eq!((columns.time, columns.parallel), (2, 2));
        assert_eq!(
            columns.first,
            [true, false, true, false, false, false, true, true]
        );
        let twice = rows.columns(0..1).repeated(2);
        assert_eq!(
            twice.first,
            [true, true, false, false, false, false, true, true]
        );
    }
}
