//! Names that become parts of a URL of the API server.
//!
//! The client puts them there as they are. One with a slash, a question mark or two dots would be another
//! object's address, of another namespace if something on the way tidies paths up: the rules here are what
//! keeps a tenant in their namespace, beside the rights of the operator.

/// What the name of an object looks like (CEL and regular expressions read it alike).
pub const NAME: &str = "^[A-Za-z0-9]([A-Za-z0-9._:-]*[A-Za-z0-9])?$";
/// What a kind looks like.
pub const KIND: &str = "^[A-Za-z][A-Za-z0-9]*$";
/// What an API version looks like, with its group if it has one.
pub const VERSION_OF: &str = "^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?v[a-z0-9]+$";

/// Whether a text can be a name in a path: that of one object, and of nothing beside or above it.
pub fn in_a_path(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric();
    let fits = |c: char| word(c) || matches!(c, '.' | '_' | ':' | '-');
    text.starts_with(word) && text.ends_with(word) && text.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("orders", true)]
    #[case("orders.v2-0", true)]
    #[case("system:orders", true)]
    #[case("", false)]
    #[case("..", false)]
    #[case("../../other/secrets/login", false)]
    #[case("orders/scale", false)]
    #[case("orders?dryRun=All", false)]
    #[case("orders#", false)]
    #[case("a%2fb", false)]
    #[case("or ders", false)]
    #[case("orders\n", false)]
    #[case("\u{e9}", false)]
    fn what_can_be_in_a_path(#[case] text: &str, #[case] fits: bool) {
        assert_eq!(in_a_path(text), fits);
        assert_eq!(
            regex::Regex::new(NAME).unwrap().is_match(text),
            fits,
            "the rule of the schema says otherwise"
        );
    }
}
