//! What is sold: the provider's variants or prices, by product.
//!
//! Invariant: a price means one product at most.

/// Something a user can buy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    /// Tier standard.
    Standard,
    /// One more connection and slot on top of it.
    Addon,
}

impl Product {
    /// The word on the wire and in forms.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Addon => "addon",
        }
    }

    /// The product of that word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Standard, Self::Addon]
            .into_iter()
            .find(|product| product.as_str() == word)
    }
}

/// Ids of `LemonSqueezy` variants or Stripe prices, by product. The first of each is what is sold; the others
/// are kept for those who bought them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalog {
    /// Prices of tier standard.
    pub standard: Vec<String>,
    /// Prices of an add-on.
    pub addon: Vec<String>,
}

impl Catalog {
    /// What a price stands for; `None` for one that nobody mapped.
    #[must_use]
    pub fn product_of(&self, price: &str) -> Option<Product> {
        let has = |prices: &[String]| prices.iter().any(|known| known == price);
        if has(&self.standard) {
            Some(Product::Standard)
        } else if has(&self.addon) {
            Some(Product::Addon)
        } else {
            None
        }
    }

    /// The price under which a product is sold; `None` when it is not for sale.
    #[must_use]
    pub fn price_of(&self, product: Product) -> Option<&str> {
        let prices = match product {
            Product::Standard => &self.standard,
            Product::Addon => &self.addon,
        };
        prices.first().map(String::as_str)
    }
}
