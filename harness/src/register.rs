//! The two macros: one stamps the kernel around the tests, one registers them.

/// Makes a test file a kernel that runs its tests. Once per file, at the top level.
#[macro_export]
macro_rules! harness {
    () => {
        $crate::freestone::entry!(freestone_harness_main, panic: none, audit: exit);

        #[panic_handler]
        fn freestone_harness_panic(info: &::core::panic::PanicInfo<'_>) -> ! {
            $crate::panicked(info)
        }

        #[doc(hidden)]
        fn freestone_harness_main(
            boot: &'static $crate::freestone::BootInfo,
        ) -> $crate::freestone::Exit {
            unsafe extern "C" {
                static freestone_tests_start: $crate::Test;
                static freestone_tests_end: $crate::Test;
            }
            // SAFETY: the linker script puts both symbols around the section that holds nothing but
            // `Test`s, one after the other.
            let tests = unsafe {
                $crate::between(&raw const freestone_tests_start, &raw const freestone_tests_end)
            };
            $crate::main(boot, tests)
        }
    };
}

/// Registers functions without arguments as tests. `#[ignore]`, `#[should_panic]` and
/// `#[should_panic(expected = "…")]` mean what they mean to `#[test]`; other attributes stay.
#[macro_export]
macro_rules! tests {
    () => {};
    ($(#[$($attribute:tt)*])* fn $name:ident() $(-> $result:ty)? $body:block $($rest:tt)*) => {
        $crate::tests!(@one [$([$($attribute)*])*] [] [$crate::Panics::No] [""] [false]
            fn $name() $(-> $result)? $body);
        $crate::tests!($($rest)*);
    };

    (@one [[ignore $($reason:tt)*] $($more:tt)*] [$($kept:tt)*] [$panics:expr] [$expected:expr]
        [$ignored:expr] $($function:tt)*) => {
        $crate::tests!(@one [$($more)*] [$($kept)*] [$panics] [$expected] [true] $($function)*);
    };
    (@one [[should_panic] $($more:tt)*] [$($kept:tt)*] [$panics:expr] [$expected:expr]
        [$ignored:expr] $($function:tt)*) => {
        $crate::tests!(@one [$($more)*] [$($kept)*] [$crate::Panics::Yes] [""] [$ignored] $($function)*);
    };
    (@one [[should_panic(expected = $text:expr)] $($more:tt)*] [$($kept:tt)*] [$panics:expr]
        [$expected:expr] [$ignored:expr] $($function:tt)*) => {
        $crate::tests!(@one [$($more)*] [$($kept)*] [$crate::Panics::Yes] [$text] [$ignored] $($function)*);
    };
    (@one [[$($other:tt)*] $($more:tt)*] [$($kept:tt)*] [$panics:expr] [$expected:expr]
        [$ignored:expr] $($function:tt)*) => {
        $crate::tests!(@one [$($more)*] [$($kept)* #[$($other)*]] [$panics] [$expected] [$ignored]
            $($function)*);
    };
    (@one [] [$($kept:tt)*] [$panics:expr] [$expected:expr] [$ignored:expr]
        fn $name:ident() $(-> $result:ty)? $body:block) => {
        $($kept)*
        fn $name() $(-> $result)? $body

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
            );
        };
    };
}
