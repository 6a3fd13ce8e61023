select id, amount, customer from {{ ref('orders') }} where amount > 5
