//! The macro that defines the exported functions.

/// Stamps out `pub extern "C" fn name(x: Carrier<X>) -> Carrier<Y>`, documented and exported, that
/// hands its arguments to a function and its result back; and, for the tests, a list of the names.
macro_rules! shims {
    ($list:ident; $($what:literal:
        $($name:ident($($argument:ident: $type:ty),*) -> $result:ty = $body:expr),+;)*) => {
        $($(
            #[doc = $what]
            #[cfg_attr(all(feature = "export", panic = "abort", not(test)), unsafe(no_mangle))]
            pub extern "C" fn $name($($argument: Carrier<$type>),*) -> Carrier<$result> {
                let result: $result = ($body)($(<$type as Carried>::receive($argument)),*);
                result.send()
            }
        )+)*

        #[cfg(test)]
        pub(crate) const $list: &[&str] = &[$($(stringify!($name)),+),*];
    };
}

/// The same for a function that every format has: `function, (a, b) -> Self: name F32, other F64;`,
/// where `Self` is the format, and what else may stand there is itself.
macro_rules! families {
    ($list:ident; $($what:literal: $body:expr, $arguments:tt -> $result:ident:
        $($name:ident $type:ident),+;)*) => {
        $($(families! { @one $what, $name, $type, $result, $body, $arguments })+)*

        #[cfg(test)]
        pub(crate) const $list: &[&str] = &[$($(stringify!($name)),+),*];
    };
    (@one $what:literal, $name:ident, $type:ident, Self, $($rest:tt)+) => {
        families! { @one $what, $name, $type, $type, $($rest)+ }
    };
    (@one $what:literal, $name:ident, $type:ident, $result:ident, $body:expr, ($($argument:ident),+)) => {
        #[doc = $what]
        #[cfg_attr(all(feature = "export", panic = "abort", not(test)), unsafe(no_mangle))]
        pub extern "C" fn $name($($argument: Carrier<$type>),+) -> Carrier<$result> {
            let result: $result = ($body)($(<$type as Carried>::receive($argument)),+);
            result.send()
        }
    };
}

/// The same for functions that give a second result through the pointer `second`.
macro_rules! shims_with_second {
    ($list:ident; $($what:literal:
        $($name:ident($($argument:ident: $type:ty),*; $second:ty) -> $result:ty = $body:expr),+;)*) => {
        $($(
            #[doc = $what]
            ///
            /// # Safety
            ///
            /// - `second` is null, or aligned and writable.
            #[cfg_attr(all(feature = "export", panic = "abort", not(test)), unsafe(no_mangle))]
            pub unsafe extern "C" fn $name($($argument: $type,)* second: *mut $second) -> $result {
                let (result, other) = ($body)($($argument),*);
                if !second.is_null() {
                    // SAFETY: the caller promised a place for the second result.
                    unsafe { *second = other };
                }
                result
            }
        )+)*

        #[cfg(test)]
        pub(crate) const $list: &[&str] = &[$($(stringify!($name)),+),*];
    };
}

pub(crate) use {families, shims, shims_with_second};
