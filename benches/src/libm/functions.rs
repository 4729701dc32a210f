/// Calls a macro with what is measured: the kind of function, its name, and between what its arguments lie.
macro_rules! functions {
    ($then:ident) => {
        $then! {
            One exp (-10.0, 10.0);
            One exp2 (-10.0, 10.0);
            One exp10 (-10.0, 10.0);
            One expm1 (-5.0, 5.0);
            One log (0.01, 100.0);
            One log2 (0.01, 100.0);
            One log10 (0.01, 100.0);
            One log1p (-0.5, 10.0);
            Two pow (0.01, 100.0), (-10.0, 10.0);
            One sin (-10.0, 10.0);
            One cos (-10.0, 10.0);
            One tan (-10.0, 10.0);
            One asin (-1.0, 1.0);
            One acos (-1.0, 1.0);
            One atan (-10.0, 10.0);
            Two atan2 (-10.0, 10.0), (-10.0, 10.0);
            One sinh (-5.0, 5.0);
            One cosh (-5.0, 5.0);
            One tanh (-5.0, 5.0);
            One asinh (-10.0, 10.0);
            One acosh (1.0, 10.0);
            One atanh (-1.0, 1.0);
            One cbrt (-10.0, 10.0);
            Two hypot (-10.0, 10.0), (-10.0, 10.0);
            One erf (-3.0, 3.0);
            One erfc (-3.0, 10.0);
            One tgamma (-5.0, 20.0);
            One lgamma (-5.0, 20.0);
            Two fmod (-100.0, 100.0), (-10.0, 10.0);
            Two remainder (-100.0, 100.0), (-10.0, 10.0);
            OneSingle expf (-10.0, 10.0);
            OneSingle exp2f (-10.0, 10.0);
            OneSingle exp10f (-10.0, 10.0);
            OneSingle expm1f (-5.0, 5.0);
            OneSingle logf (0.01, 100.0);
            OneSingle log2f (0.01, 100.0);
            OneSingle log10f (0.01, 100.0);
            OneSingle log1pf (-0.5, 10.0);
            TwoSingle powf (0.01, 100.0), (-10.0, 10.0);
            OneSingle sinf (-10.0, 10.0);
            OneSingle cosf (-10.0, 10.0);
            OneSingle tanf (-10.0, 10.0);
            OneSingle asinf (-1.0, 1.0);
            OneSingle acosf (-1.0, 1.0);
            OneSingle atanf (-10.0, 10.0);
            TwoSingle atan2f (-10.0, 10.0), (-10.0, 10.0);
            OneSingle sinhf (-5.0, 5.0);
            OneSingle coshf (-5.0, 5.0);
            OneSingle tanhf (-5.0, 5.0);
            OneSingle asinhf (-10.0, 10.0);
            OneSingle acoshf (1.0, 10.0);
            OneSingle atanhf (-1.0, 1.0);
            OneSingle cbrtf (-10.0, 10.0);
            TwoSingle hypotf (-10.0, 10.0), (-10.0, 10.0);
            OneSingle erff (-3.0, 3.0);
            OneSingle erfcf (-3.0, 10.0);
            OneSingle tgammaf (-5.0, 20.0);
            OneSingle lgammaf (-5.0, 20.0);
        }
    };
}
