//! The same safe code, compiled for what the processor has: the one place of the crate with unsafe
//! code, which is the call across that border.

#![cfg_attr(target_arch = "x86_64", allow(unsafe_code))]

/// A loop over samples that the compiler turns into vector code. Mark [`Kernel::run`] and all that
/// it calls in its loops `#[inline(always)]`, or they are compiled for the least processor.
pub trait Kernel {
    /// What it gives.
    type Output;

    /// Runs the loop.
    fn run(self) -> Self::Output;
}

/// Runs a kernel as compiled for AVX-512, AVX2 or the least processor, whichever this one is.
///
/// The results are the same to the bit: none of these lets the compiler fuse or reorder operations
/// on floats.
pub fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    {
        if std::is_x86_feature_detected!("avx512f")
            && std::is_x86_feature_detected!("avx512bw")
            && std::is_x86_feature_detected!("avx512dq")
            && std::is_x86_feature_detected!("avx512vl")
        {
            // SAFETY: the processor has just said that it has these features.
            return unsafe { avx512(kernel) };
        }
        if std::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has just said that it has this feature.
            return unsafe { avx2(kernel) };
        }
    }
    kernel.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}
