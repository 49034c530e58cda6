//! The way into `Queue.put` and `Queue.get` that most calls take.
//!
//! An uncontended put and get take about 12 ns of work together, and the general way of calling a native
//! method (entering and leaving PyO3's bookkeeping, matching arguments with names) costs 40 ns more: half
//! of the whole. So these four methods are plain C functions that do the usual case, which needs none of
//! that, and hand everything else (keywords, a full, empty, shut down or hooked queue) to the methods
//! of the same names that PyO3 has made.

use std::ffi::CStr;
use std::os::raw::c_int;

use pyo3::exceptions::{PySystemError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};

use super::fifo::Queue;

/// A method, and the one of the same name that does what the fast way does not.
struct Method {
    name: &'static CStr,
    doc: &'static CStr,
    call: ffi::PyMethodDefPointer,
    flags: c_int,
    general: PyOnceLock<Py<PyAny>>,
}

// SAFETY: the function pointers are to code, and everything else is shared safely by itself.
unsafe impl Sync for Method {}

static PUT: Method = Method {
    name: c"put",
    doc: c"put($self, item, block=True, timeout=None)\n--\n\nPut an item at the end, and wait for a free place if need be.\n\nRaises Full when there is none (within timeout seconds, or at once if not block), ShutDown after shutdown().",
    call: ffi::PyMethodDefPointer {
        PyCFunctionFastWithKeywords: put,
    },
    flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
    general: PyOnceLock::new(),
};

static GET: Method = Method {
    name: c"get",
    doc: c"get($self, block=True, timeout=None)\n--\n\nTake the oldest item, and wait for one if need be.\n\nRaises Empty when there is none (within timeout seconds, or at once if not block), ShutDown when the queue is shut down and empty.",
    call: ffi::PyMethodDefPointer {
        PyCFunctionFastWithKeywords: get,
    },
    flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
    general: PyOnceLock::new(),
};

static PUT_NOWAIT: Method = Method {
    name: c"put_nowait",
    doc: c"put_nowait($self, item)\n--\n\nPut an item at the end, or raise Full at once.",
    call: ffi::PyMethodDefPointer {
        PyCFunctionFastWithKeywords: put_nowait,
    },
    flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
    general: PyOnceLock::new(),
};

static GET_NOWAIT: Method = Method {
    name: c"get_nowait",
    doc: c"get_nowait($self, /)\n--\n\nTake the oldest item, or raise Empty at once.",
    call: ffi::PyMethodDefPointer {
        PyCFunction: get_nowait,
    },
    flags: ffi::METH_NOARGS,
    general: PyOnceLock::new(),
};

/// Puts the four methods into a class: `Queue`, or a class derived from it.
///
/// Python's interpreter takes its own short way only for instances of exactly the class that has the
/// method, so `daqring.Queue` gets them too.
#[pyfunction]
pub(super) fn _install_calls(class: &Bound<'_, PyType>) -> PyResult<()> {
    let py = class.py();
    if !class.is_subclass_of::<Queue>()? {
        return Err(PyTypeError::new_err(
            "only a class derived from daqring's own Queue can have its methods",
        ));
    }
    for method in [&PUT, &GET, &PUT_NOWAIT, &GET_NOWAIT] {
        let name = method.name.to_string_lossy();
        let general = class.getattr(&*name)?.unbind();
        method.general.get_or_init(py, || general);
        let definition = Box::leak(Box::new(ffi::PyMethodDef {
            ml_name: method.name.as_ptr(),
            ml_meth: method.call,
            ml_flags: method.flags,
            ml_doc: method.doc.as_ptr(),
        }));
        // SAFETY: attached (we hold `py`); the class is alive; the definition is never freed. The result
        // is a new reference or null with an exception set, which is what `from_owned_ptr_or_err` takes.
        let descriptor = unsafe {
            let made = ffi::PyDescr_NewMethod(class.as_type_ptr(), definition);
            Bound::from_owned_ptr_or_err(py, made)?
        };
        class.setattr(&*name, descriptor)?;
    }
    Ok(())
}

/// The queue behind `this`.
///
/// # Safety
/// Attached to the interpreter, and `this` is the first argument of one of the functions below: their
/// descriptors have checked that it is an instance of `Queue`, and the caller holds it until they return.
#[inline]
unsafe fn queue<'a>(py: Python<'a>, this: *mut ffi::PyObject) -> &'a Queue {
    // SAFETY: the caller's promise. `Queue` is frozen, so a shared reference is always allowed.
    unsafe { Borrowed::from_ptr(py, this).cast_unchecked::<Queue>().get() }
}

unsafe extern "C" fn put(
    this: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: Python calls its methods attached, with an instance, and with `count` arguments and one for
    // each of `names`.
    unsafe { put_by(&PUT, this, arguments, count, names) }
}

unsafe extern "C" fn put_nowait(
    this: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as for `put`.
    unsafe { put_by(&PUT_NOWAIT, this, arguments, count, names) }
}

/// # Safety
/// As Python calls `put`.
#[inline]
unsafe fn put_by(
    method: &Method,
    this: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the caller's promise.
    unsafe {
        let py = Python::assume_attached();
        let item = || Borrowed::from_ptr(py, *arguments).to_owned().unbind();
        if count == 1 && names.is_null() && queue(py, this).put_at_once(item) {
            return py.None().into_ptr();
        }
        generally(py, method, this, arguments, count, names)
    }
}

unsafe extern "C" fn get(
    this: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as for `put`.
    unsafe {
        let py = Python::assume_attached();
        if count == 0
            && names.is_null()
            && let Some(item) = queue(py, this).get_at_once()
        {
            return item.into_ptr();
        }
        generally(py, &GET, this, arguments, count, names)
    }
}

unsafe extern "C" fn get_nowait(
    this: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as for `put`.
    unsafe {
        let py = Python::assume_attached();
        match queue(py, this).get_at_once() {
            Some(item) => item.into_ptr(),
            None => generally(
                py,
                &GET_NOWAIT,
                this,
                std::ptr::null(),
                0,
                std::ptr::null_mut(),
            ),
        }
    }
}

/// Calls the method that PyO3 made, with the same arguments.
///
/// # Safety
/// `arguments` points to `count` arguments and one more for each of `names`, a tuple or null.
#[cold]
unsafe fn generally(
    py: Python<'_>,
    method: &Method,
    this: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    let count = count.unsigned_abs();
    // SAFETY: the caller's promise.
    let argument = |at: usize| unsafe { Borrowed::from_ptr(py, *arguments.add(at)) };
    // SAFETY: as above.
    let (this, names) = unsafe {
        (
            Borrowed::from_ptr(py, this),
            Borrowed::from_ptr_or_opt(py, names),
        )
    };
    let call = || -> PyResult<Py<PyAny>> {
        let positional: Vec<_> = std::iter::once(this)
            .chain((0..count).map(argument))
            .collect();
        let named = match names {
            None => None,
            Some(names) => {
                let named = PyDict::new(py);
                for (at, name) in names.cast::<PyTuple>()?.iter().enumerate() {
                    named.set_item(name, argument(count + at))?;
                }
                Some(named)
            }
        };
        let general = method
            .general
            .get(py)
            .ok_or_else(|| PySystemError::new_err("the module daqring._native is not set up"))?;
        let outcome = general
            .bind(py)
            .call(PyTuple::new(py, positional)?, named.as_ref())?;
        Ok(outcome.unbind())
    };
    match call() {
        Ok(outcome) => outcome.into_ptr(),
        Err(error) => {
            error.restore(py);
            std::ptr::null_mut()
        }
    }
}
