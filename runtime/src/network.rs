//! Reading the layer table: every layer, and the head, gets its share of the parameters.

use crate::error::ImageError;
use crate::format::{
    Chain, HeadKind, Header, LayerRecord, MAX_LAYERS, Memory, WEIGHTS_ALIGN, check_groups,
};
use crate::head::Head;
use crate::image::Parts;
use crate::layer::{Activation, Layer};
use crate::quantised::check::{Check, SHIFTS, exponents};

/// What the layer table and the parameters say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Network<'a> {
    pub(crate) head: Head<'a>,
    /// The first `header.layers` are the policy's, the rest are empty.
    pub(crate) layers: [Layer; MAX_LAYERS],
    /// The layers' parameters, one's after another's, and then the head's.
    pub(crate) parameters: &'a [f32],
    pub(crate) memory: Memory,
}

impl<'a> Network<'a> {
    /// Reads the layer table in `records` and checks every layer's, and the head's, share of the
    /// parameters.
    pub(crate) fn read(
        header: &Header<'_>,
        mut records: &[u8],
        parts: &Parts<'a>,
    ) -> Result<Self, ImageError> {
        let unknown_head = ImageError::HeadTag { found: header.head };
        let kind = HeadKind::from_tag(header.head).ok_or(unknown_head)?;
        let mut parameters = Parameters::new(parts)?;
        let all = parameters.left;
        let count = usize::from(header.layers);
        let observations = usize::from(header.observations);
        let mut chain = Chain::new(header.agent, header.agents, count, observations)?;
        let mut layers = [Layer::Quantise; MAX_LAYERS];
        for (layer, slot) in layers.iter_mut().enumerate().take(count) {
            let (record, rest) = LayerRecord::read(layer, records)?;
            records = rest;
            *slot = match record {
                LayerRecord::Dense(record) => {
                    let activation = activation(layer, record.activation)?;
                    let (inputs, outputs) = (record.inputs.into(), record.outputs.into());
                    parameters.take(layer, chain.dense(inputs, outputs)?)?;
                    Layer::Dense {
                        outputs: record.outputs,
                        activation,
                    }
                }
                LayerRecord::Gru(_) if !cfg!(feature = "gru") => {
                    return Err(ImageError::LeftOut { feature: "gru" });
                }
                LayerRecord::Gru(record) => {
                    let (inputs, hidden) = (record.inputs.into(), record.hidden.into());
                    parameters.take(layer, chain.gru(inputs, hidden)?)?;
                    Layer::Gru {
                        hidden: record.hidden,
                    }
                }
                LayerRecord::Quantise(_)
                | LayerRecord::IntegerDense(_)
                | LayerRecord::IntegerGru(_)
                    if !cfg!(feature = "int8") =>
                {
                    return Err(ImageError::LeftOut { feature: "int8" });
                }
                LayerRecord::Quantise(record) => {
                    let own = chain.quantise(record.inputs.into())?;
                    let (check, words) = parameters.take_words(layer, own)?;
                    check.quantise(words)?;
                    Layer::Quantise
                }
                LayerRecord::IntegerDense(record) => {
                    let activation = activation(layer, record.activation)?;
                    let (inputs, outputs) = (record.inputs.into(), record.outputs.into());
                    let (shift, exponent) = (record.shift, record.exponent);
                    let exponents = exponents(activation, chain.is_at_last());
                    let own = chain.integer_dense(inputs, outputs, activation)?;
                    for (range, found) in [(SHIFTS, shift), (exponents, exponent)] {
                        if !range.contains(&found) {
                            return Err(ImageError::IntegerShift { layer, found });
                        }
                    }
                    let (check, words) = parameters.take_words(layer, own)?;
                    check.dense(words, inputs, outputs, shift)?;
                    Layer::IntegerDense {
                        outputs: record.outputs,
                        activation,
                        shift,
                        exponent,
                    }
                }
                LayerRecord::IntegerGru(record) => {
                    let (inputs, hidden) = (record.inputs.into(), record.hidden.into());
                    let own = chain.integer_gru(inputs, hidden)?;
                    for found in record.shifts {
                        if !SHIFTS.contains(&found) {
                            return Err(ImageError::IntegerShift { layer, found });
                        }
                    }
                    let (check, words) = parameters.take_words(layer, own)?;
                    check.gru(words, inputs, hidden, record.shifts)?;
                    Layer::IntegerGru {
                        hidden: record.hidden,
                        shifts: record.shifts,
                    }
                }
            };
        }
        let (head, memory) = head(kind, usize::from(header.head_size), chain, &mut parameters)?;
        if !records.is_empty() {
            return Err(ImageError::HeaderTrailing {
                found: records.len(),
            });
        }
        parameters.finish()?;
        if header.memory as usize != memory.len() {
            return Err(ImageError::Memory {
                expected: memory.len(),
                found: header.memory,
            });
        }
        Ok(Network {
            head,
            layers,
            parameters: all,
            memory,
        })
    }
}

/// The head at the end of the chain, with its share of the parameters, and the memory of the whole.
fn head<'a>(
    kind: HeadKind,
    size: usize,
    chain: Chain,
    parameters: &mut Parameters<'a>,
) -> Result<(Head<'a>, Memory), ImageError> {
    if kind == HeadKind::MultiDiscrete {
        if !cfg!(feature = "multi-discrete") {
            let feature = "multi-discrete";
            return Err(ImageError::LeftOut { feature });
        }
        let sizes = bytemuck::cast_slice(parameters.split_head(size)?);
        check_groups(sizes)?;
        let head = Head::MultiDiscrete { sizes };
        return Ok((head, chain.finish(head.inputs())?));
    }
    let memory = chain.finish(size)?;
    let head = match kind {
        HeadKind::Deterministic => Head::Deterministic { outputs: size },
        HeadKind::Gaussian if !cfg!(feature = "gaussian") => {
            let feature = "gaussian";
            return Err(ImageError::LeftOut { feature });
        }
        HeadKind::Gaussian => {
            let log_std = parameters.split_head(size)?;
            if let Some(dimension) = log_std.iter().position(|value| !value.is_finite()) {
                return Err(ImageError::NonFiniteLogStd { dimension });
            }
            Head::Gaussian { log_std }
        }
        HeadKind::Categorical | HeadKind::MultiDiscrete => Head::Categorical { actions: size },
    };
    Ok((head, memory))
}

fn activation(layer: usize, found: u8) -> Result<Activation, ImageError> {
    Activation::from_tag(found).ok_or(ImageError::ActivationTag { layer, found })
}

/// The parameters that no layer has taken yet.
struct Parameters<'a> {
    left: &'a [f32],
    /// Where they start in the image.
    offset: usize,
    /// Bytes at the end that make no whole number.
    stray: usize,
}

impl<'a> Parameters<'a> {
    fn new(parts: &Parts<'a>) -> Result<Self, ImageError> {
        let (words, stray) = parts.weights.as_chunks::<4>();
        let left = bytemuck::try_cast_slice(words).map_err(|_| ImageError::Misaligned {
            found: words.as_ptr().addr() % WEIGHTS_ALIGN,
        })?;
        Ok(Parameters {
            left,
            offset: parts.weights_offset,
            stray: stray.len(),
        })
    }

    /// The next `expected` of them as they lie: layer `layer`'s, an integer one, and how to check them.
    fn take_words(
        &mut self,
        layer: usize,
        expected: usize,
    ) -> Result<(Check, &'a [i32]), ImageError> {
        let offset = self.offset;
        let own = self.split(layer, expected)?;
        Ok((Check { layer, offset }, bytemuck::cast_slice(own)))
    }

    /// Checks that the next `expected` of them are finite: layer `layer`'s.
    fn take(&mut self, layer: usize, expected: usize) -> Result<(), ImageError> {
        let offset = self.offset;
        let own = self.split(layer, expected)?;
        if let Some(index) = own.iter().position(|value| !value.is_finite()) {
            return Err(ImageError::NonFiniteWeight {
                layer,
                offset: offset + 4 * index,
            });
        }
        Ok(())
    }

    fn split(&mut self, layer: usize, expected: usize) -> Result<&'a [f32], ImageError> {
        let missing = ImageError::MissingWeights {
            layer,
            expected,
            found: self.left.len(),
        };
        let (own, rest) = self.left.split_at_checked(expected).ok_or(missing)?;
        self.offset += 4 * expected;
        self.left = rest;
        Ok(own)
    }

    /// The next `expected` of them as they lie: the head's.
    fn split_head(&mut self, expected: usize) -> Result<&'a [f32], ImageError> {
        let missing = ImageError::MissingHead {
            expected,
            found: self.left.len(),
        };
        let (own, rest) = self.left.split_at_checked(expected).ok_or(missing)?;
        self.left = rest;
        Ok(own)
    }

    /// Checks that none are left.
    fn finish(&self) -> Result<(), ImageError> {
        match 4 * self.left.len() + self.stray {
            0 => Ok(()),
            found => Err(ImageError::TrailingWeights { found }),
        }
    }
}
