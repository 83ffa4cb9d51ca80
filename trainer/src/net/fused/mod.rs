#![allow(missing_docs)]
//! stub
use candle_core::{Result, Tensor, Var, backprop::GradStore};
pub enum Activation { Identity, Tanh, Relu }
pub fn dense(x: &Tensor, w: &Tensor, b: &Tensor, a: Activation) -> Result<Tensor> {
    let y = x.contiguous()?.matmul(w)?.broadcast_add(b)?;
    match a { Activation::Tanh => super::activation::tanh(&y), Activation::Relu => y.relu(), _ => Ok(y) }
}
pub fn gru(gates: &Tensor, rec: &Tensor, start: &Tensor, first: &[bool]) -> Result<Tensor> {
    let (g, s, h3) = gates.dims3()?; let h = h3/3; let b = start.dim(1)?; let t = s/b; let r = first.len()/s;
    let keep: Vec<f32> = first.iter().map(|&f| if f {0.0} else {1.0}).collect();
    let keep = Tensor::from_vec(keep, (r, 1, s, 1), gates.device())?.broadcast_as((r, g/r, s, 1))?.contiguous()?.reshape((g, s, 1))?;
    let w = rec.narrow(1, 0, h)?.contiguous()?; let bias = rec.narrow(1, h, 1)?.contiguous()?;
    let mut state = start.clone(); let mut out = Vec::new();
    let sig = |x: &Tensor| -> Result<Tensor> { (super::activation::tanh(&(x * 0.5)?)? * 0.5)? + 0.5 };
    for i in 0..t {
        state = state.broadcast_mul(&keep.narrow(1, i*b, b)?)?;
        let hw = state.matmul(&w)?.broadcast_add(&bias)?;
        let gi = gates.narrow(1, i*b, b)?;
        let rr = sig(&(gi.narrow(2,0,h)? + hw.narrow(2,0,h)?)?.contiguous()?)?;
        let z = sig(&(gi.narrow(2,h,h)? + hw.narrow(2,h,h)?)?.contiguous()?)?;
        let n = super::activation::tanh(&(gi.narrow(2,2*h,h)? + (&rr * hw.narrow(2,2*h,h)?)?)?)?;
        state = ((1.0 - &z)? * n + (z * &state)?)?;
        out.push(state.clone());
    }
    Tensor::cat(&out, 1)
}
#[derive(Clone, Copy)] pub struct AdamConfig { pub learning_rate: f64, pub beta_1: f64, pub beta_2: f64, pub epsilon: f64, pub max_norm: Option<f64> }
impl Default for AdamConfig { fn default() -> Self { Self { learning_rate: 1e-3, beta_1: 0.9, beta_2: 0.99, epsilon: 1e-8, max_norm: None } } }
#[derive(Clone, serde::Serialize, serde::Deserialize)] pub struct AdamState { m: Vec<Vec<f32>>, v: Vec<Vec<f32>>, t: u64 }
pub struct Adam { vars: Vec<Var>, replicas: usize, c: AdamConfig, s: AdamState }
impl Adam {
    pub fn new(vars: Vec<Var>, replicas: usize, c: AdamConfig) -> Result<Self> {
        let z: Vec<Vec<f32>> = vars.iter().map(|v| vec![0.0; v.elem_count()]).collect();
        Ok(Self { s: AdamState { m: z.clone(), v: z, t: 0 }, vars, replicas, c })
    }
    pub fn set_learning_rate(&mut self, lr: f64) { self.c.learning_rate = lr }
    pub fn step(&mut self, g: &GradStore) -> Result<()> { let a = vec![true; self.replicas]; self.step_where(g, &a) }
    pub fn step_where(&mut self, g: &GradStore, active: &[bool]) -> Result<()> {
        self.s.t += 1;
        let grads: Vec<Option<Vec<f32>>> = self.vars.iter().map(|v| g.get(v).map(|g| g.flatten_all()?.to_vec1()).transpose()).collect::<Result<_>>()?;
        let mut scale = vec![1.0_f32; self.replicas];
        if let Some(max) = self.c.max_norm {
            for r in 0..self.replicas {
                let mut sum = 0.0_f64;
                for g in grads.iter().flatten() { let n = g.len()/self.replicas; for x in &g[r*n..(r+1)*n] { sum += f64::from(*x).powi(2) } }
                if sum.sqrt() > max { scale[r] = (max / sum.sqrt()) as f32 }
            }
        }
        let (b1, b2) = (self.c.beta_1 as f32, self.c.beta_2 as f32);
        let c1 = (1.0 - self.c.beta_1.powi(self.s.t as i32)) as f32; let c2 = (1.0 - self.c.beta_2.powi(self.s.t as i32)) as f32;
        for (i, g) in grads.iter().enumerate() {
            let Some(g) = g else { continue };
            let mut x: Vec<f32> = self.vars[i].flatten_all()?.to_vec1()?;
            let n = g.len()/self.replicas;
            for k in 0..g.len() { let r = k/n; if !active[r] { continue }
                let d = g[k]*scale[r]; let m = &mut self.s.m[i][k]; *m = b1 * *m + (1.0-b1)*d; let v = &mut self.s.v[i][k]; *v = b2 * *v + (1.0-b2)*d*d;
                x[k] -= self.c.learning_rate as f32 * (*m/c1) / ((*v/c2).sqrt() + self.c.epsilon as f32);
            }
            self.vars[i].set(&Tensor::from_vec(x, self.vars[i].shape(), self.vars[i].device())?)?;
        }
        Ok(())
    }
    pub fn state(&self) -> AdamState { self.s.clone() }
    pub fn restore(&mut self, s: AdamState) -> Result<()> { self.s = s; Ok(()) }
}
