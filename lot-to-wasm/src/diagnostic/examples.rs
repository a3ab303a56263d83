//! A program for each code that provokes it: the fixtures of the corpus, which the tests compile.

use super::Code;

macro_rules! examples {
    ($($number:literal)*) => {
        /// Returns a program that provokes a code. `None` for codes at run time, and for limits
        /// that only a long program reaches.
        pub fn example(code: Code) -> Option<&'static str> {
            match code.number() {
                $($number => Some(include_str!(concat!("../../tests/corpus/diagnostic/LOT", $number, ".lot"))),)*
                _ => None,
            }
        }
    };
}

examples! {
    101 102 103 104 105 106 107 108 109 110 201 202 203 204 205 206 207 208 209 210 211 212 213 214 215 216 217 218 219 220 221
    222 223 224 225 226 227 228 229 230 231 232 233 234 235 236 237 240 241 242 243 244 245 246 247 248 249 250 251 301 302 303 304 305 306 307 308 309 310 311 312
    313 314 315 316 317 318 319 320 321 322 323 324 325 326 327 328 329 330 331 332 333 334 335 336 337 338 401 402 403 404 405 406 407 408
    409 410 411 412 413 414 415 416 417 418 419 420 421 422 423 424 425 426 427 430 431 432 433 434 435 436 437 438 439 440 441 442 443 444 445 446 447 448 449 450 451 452 453 460 471 472 501
    502 507
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::codes;

    #[test]
    fn every_code_of_the_compiler_has_an_example() {
        for code in Code::all() {
            // The bounds between are reached by long programs alone.
            let has_example = code.number() <= 502 || code == codes::PATTERNS_OF_TEXT;
            assert_eq!(example(code).is_some(), has_example, "{code}");
        }
    }
}
