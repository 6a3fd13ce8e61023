{{ config(materialized='table') }}
select customer, sum(amount) as revenue
from {{ ref('large_orders') }}
group by customer
{% if env_var('SHOP_BROKEN', '') %} having cast(customer as integer) > 0 {% endif %}
