//! The two macros: `harness!` defines the kernel around the tests, `tests!` registers them.

/// Makes a test file a kernel that runs its tests. Once per file, at the top level.
#[macro_export]
macro_rules! harness {
    () => {
        $crate::freestone::entry!(
            freestone_harness_main, panic: none, audit: exit, first: freestone_harness_first
        );

        #[panic_handler]
        fn freestone_harness_panic(info: &::core::panic::PanicInfo<'_>) -> ! {
            $crate::panicked(info)
        }

        #[doc(hidden)]
        fn freestone_harness_main(
            boot: &'static $crate::freestone::BootInfo,
        ) -> $crate::freestone::Exit {
            $crate::main(boot)
        }

        #[doc(hidden)]
        fn freestone_harness_first() {
            unsafe extern "C" {
                static freestone_tests_start: $crate::Test;
                static freestone_tests_end: $crate::Test;
            }
            // SAFETY: the linker script puts both symbols around the section that holds nothing but
            // `Test`s, one after the other.
            let tests = unsafe {
                $crate::between(&raw const freestone_tests_start, &raw const freestone_tests_end)
            };
            $crate::begin(tests);
        }
    };
}

/// Registers functions without arguments as tests.
///
/// Attributes mean what they mean to `#[test]`: `#[ignore]` and `#[ignore = "reason"]`, `#[should_panic]` with or
/// without `(expected = "…")` or `= "…"`, `#[cfg(…)]` and `#[cfg_attr(…, …)]` around them, too. `#[test]` itself may stand
/// and says nothing new. All others, doc comments and lints among them, stay with the function. What `#[test]` refuses
/// is refused by name: other forms of these attributes, arguments, `async`.
// A repetition, so a block may be as long as it likes: what recurs is one function's attributes.
#[macro_export]
macro_rules! tests {
    ($($(#[$($attribute:tt)*])* $visibility:vis fn $name:ident() $(-> $result:ty)? $body:block)*) => {
        $($crate::tests!(@one [$([$($attribute)*])*] [] [] [$crate::Panics::No] [""] [false] [""]
            $visibility fn $name() $(-> $result)? $body);)*
    };

    // One function: attributes to look at, those that stay, those that the registration has too, then what they mean.
    (@one [[test] $($more:tt)*] $($rest:tt)*) => {
        $crate::tests!(@one [$($more)*] $($rest)*);
    };
    // Long doc comments, line by line, would reach the limit of recursion.
    (@one [[doc $($a:tt)*] [doc $($b:tt)*] [doc $($c:tt)*] [doc $($d:tt)*] [doc $($e:tt)*] [doc $($f:tt)*]
        [doc $($g:tt)*] [doc $($h:tt)*] $($more:tt)*] [$($kept:tt)*] $($rest:tt)*) => {
        $crate::tests!(@one [$($more)*] [$($kept)* #[doc $($a)*] #[doc $($b)*] #[doc $($c)*] #[doc $($d)*]
            #[doc $($e)*] #[doc $($f)*] #[doc $($g)*] #[doc $($h)*]] $($rest)*);
    };
    (@one [[ignore] $($more:tt)*] $kept:tt $cfgs:tt $panics:tt $expected:tt $ignored:tt $reason:tt
        $($function:tt)*) => {
        $crate::tests!(@one [$($more)*] $kept $cfgs $panics $expected [true] [""] $($function)*);
    };
    (@one [[ignore = $text:expr] $($more:tt)*] $kept:tt $cfgs:tt $panics:tt $expected:tt $ignored:tt
        $reason:tt $($function:tt)*) => {
        $crate::tests!(@one [$($more)*] $kept $cfgs $panics $expected [true] [$text] $($function)*);
    };
    (@one [[should_panic] $($more:tt)*] $kept:tt $cfgs:tt $panics:tt $expected:tt $($rest:tt)*) => {
        $crate::tests!(@one [$($more)*] $kept $cfgs [$crate::Panics::Yes] [""] $($rest)*);
    };
    (@one [[should_panic = $text:expr] $($more:tt)*] $kept:tt $cfgs:tt $panics:tt $expected:tt
        $($rest:tt)*) => {
        $crate::tests!(@one [$($more)*] $kept $cfgs [$crate::Panics::Yes] [$text] $($rest)*);
    };
    (@one [[should_panic(expected = $text:expr $(,)?)] $($more:tt)*] $kept:tt $cfgs:tt $panics:tt
        $expected:tt $($rest:tt)*) => {
        $crate::tests!(@one [$($more)*] $kept $cfgs [$crate::Panics::Yes] [$text] $($rest)*);
    };
    (@one [[cfg($($cfg:tt)*)] $($more:tt)*] $kept:tt [$($cfgs:tt)*] $($rest:tt)*) => {
        $crate::tests!(@one [$($more)*] $kept [$($cfgs)* #[cfg($($cfg)*)]] $($rest)*);
    };
    // Not known here whether it applies: once as if it did, and once as if not.
    (@one [[cfg_attr($($condition:tt)*)] $($more:tt)*] $($rest:tt)*) => {
        $crate::tests!(@condition [] [$($condition)*] [$($more)*] $($rest)*);
    };
    (@condition [$($condition:tt)*] [, $($attributes:tt)*] $more:tt $($rest:tt)*) => {
        $crate::tests!(@split [$($condition)*] [] [] [$($attributes)*] $more $($rest)*);
    };
    (@condition [$($condition:tt)*] [$next:tt $($tail:tt)*] $($rest:tt)*) => {
        $crate::tests!(@condition [$($condition)* $next] [$($tail)*] $($rest)*);
    };
    // The attributes that it may stand for, at their commas.
    (@split $condition:tt [$($done:tt)*] [$($part:tt)*] [, $($tail:tt)*] $($rest:tt)*) => {
        $crate::tests!(@split $condition [$($done)* [$($part)*]] [] [$($tail)*] $($rest)*);
    };
    (@split $condition:tt $done:tt [$($part:tt)*] [$next:tt $($tail:tt)*] $($rest:tt)*) => {
        $crate::tests!(@split $condition $done [$($part)* $next] [$($tail)*] $($rest)*);
    };
    (@split $condition:tt [$($done:tt)*] [$($part:tt)+] [] $($rest:tt)*) => {
        $crate::tests!(@split $condition [$($done)* [$($part)+]] [] [] $($rest)*);
    };
    (@split [$($condition:tt)*] [$($done:tt)*] [] [] [$($more:tt)*] $kept:tt [$($cfgs:tt)*]
        $($rest:tt)*) => {
        $crate::tests!(@one [$($done)* $($more)*] $kept [$($cfgs)* #[cfg($($condition)*)]] $($rest)*);
        $crate::tests!(@one [$($more)*] $kept [$($cfgs)* #[cfg(not($($condition)*))]] $($rest)*);
    };
    (@one [[ignore $($form:tt)*] $($more:tt)*] $($rest:tt)*) => {
        ::core::compile_error!("tests! knows #[ignore] and #[ignore = \"reason\"]");
    };
    (@one [[should_panic $($form:tt)*] $($more:tt)*] $($rest:tt)*) => {
        ::core::compile_error!("tests! knows #[should_panic] and #[should_panic(expected = \"text\")]");
    };
    (@one [[bench $($form:tt)*] $($more:tt)*] $($rest:tt)*) => {
        ::core::compile_error!("tests! knows no #[bench]");
    };
    (@one [[$($other:tt)*] $($more:tt)*] [$($kept:tt)*] $($rest:tt)*) => {
        $crate::tests!(@one [$($more)*] [$($kept)* #[$($other)*]] $($rest)*);
    };
    (@one [] [$($kept:tt)*] [$($cfgs:tt)*] [$panics:expr] [$expected:expr] [$ignored:expr] [$reason:expr]
        $visibility:vis fn $name:ident() $(-> $result:ty)? $body:block) => {
        $($cfgs)*
        $($kept)*
        $visibility fn $name() $(-> $result)? $body

        $($cfgs)*
        const _: () = {
            #[used]
            #[unsafe(link_section = "freestone_tests")]
            static TEST: $crate::Test = $crate::Test::new(
                $crate::without_crate(::core::concat!(
                    ::core::module_path!(), "::", ::core::stringify!($name)
                )),
                || $crate::Outcome::report($name()),
                $panics,
                $expected,
                $ignored,
                $reason,
            );
        };
    };

    ($($other:tt)*) => {
        ::core::compile_error!(
            "tests! takes functions as #[test] does, without arguments, generics, async, unsafe or extern; \
             other items stand outside"
        );
    };
}
